// Failure modes of an experiment by what they cost; a click keeps the objects that suffer from one.
(function (TL) {
  "use strict";
  const { el, number } = TL;

  TL.modeName = (mode) => mode.replaceAll("_", " ");

  // What a mode (and the subtype of an event) means, in words.
  TL.modeText = function (mode, subtype) {
    const known = TL.site.modes[mode];
    if (!known) return "";
    const kind = subtype && known.subtypes[subtype] ? ` ${TL.modeName(subtype)}: ${known.subtypes[subtype]}.` : "";
    return known.sentence + kind;
  };

  function sums(events) {
    const found = new Map();
    for (const event of events) {
      const sum = found.get(event.m) || { mode: event.m, count: 0, points: 0 };
      sum.count += 1;
      sum.points += event.pts || 0;
      found.set(event.m, sum);
    }
    const last = (sum) => (sum.mode === "other" ? 1 : 0);
    return [...found.values()].sort((a, b) => last(a) - last(b) || b.points - a.points || b.count - a.count || (a.mode < b.mode ? -1 : 1));
  }

  TL.drawModes = function (root, table) {
    if (table.events === null) {
      TL.refill(root);
      return;
    }
    const found = sums(table.events);
    const most = Math.max(1e-9, ...found.map((sum) => sum.points));
    const rows = found.map((sum) => {
      const chosen = TL.state.m === sum.mode;
      const pick = () => TL.set({ m: chosen ? "" : sum.mode });
      const width = `${Math.max(0, (100 * sum.points) / most)}%`;
      const button = el("button", { type: "button", class: "link", "aria-pressed": String(chosen), title: TL.modeText(sum.mode, ""), onclick: pick }, TL.modeName(sum.mode));
      return el(
        "tr",
        { class: chosen ? "chosen" : "" },
        el("th", { scope: "row" }, button),
        el("td", {}, sum.count),
        el("td", {}, number(sum.points, 2)),
        el("td", { class: "wide" }, el("span", { class: "bar" }, el("span", { class: "cost", style: { width } }))),
      );
    });
    const head = ["failure mode", "events", "points", ""].map((name) => el("th", { scope: "col" }, name));
    const body = el("div", { class: "scroll" }, el("table", { class: "experiments" }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows)));
    TL.refill(
      root,
      el("h2", {}, "What goes wrong"),
      found.length ? body : el("p", { class: "empty" }, "No failure event was found."),
      el("p", { class: "note" }, "Points of the gaps that the events of a mode explain; modes without points cost rank, not overlap. “Other” is what no event explains."),
    );
  };
})((window.TL = window.TL || {}));
