// Objects by points lost. Only a page of them is in the document, however many there are.
(function (TL) {
  "use strict";
  const { el, number } = TL;
  const PAGE = 60;
  let shown = PAGE;
  let filtered = [];

  // The list as it is filtered and sorted now; j and k walk along it.
  TL.worstList = () => filtered;

  TL.filterObjects = function (table) {
    const { by, m, s } = TL.state;
    // An object belongs to every mode it has an event of, not only to its costliest.
    const suffering = new Set((table.events || []).filter((event) => event.m === m).map((event) => `${event.v}/${event.o}`));
    const wanted = s.trim().toLowerCase();
    const matches = (object) => {
      if (m && !suffering.has(`${object.v}/${object.o}`)) return false;
      if (!wanted) return true;
      return `${TL.category(object.c)} #${object.o} ${TL.videoName(object.v)}`.toLowerCase().includes(wanted);
    };
    filtered = table.objects.filter(matches);
    filtered.sort((a, b) => TL.lost(b, by) - TL.lost(a, by) || a.v - b.v || a.o - b.o);
    return filtered;
  };

  TL.drawWorst = function (root, table) {
    const objects = TL.filterObjects(table);
    const most = objects.length ? Math.max(1e-9, TL.lost(objects[0], TL.state.by)) : 1;
    const list = el("ol", { class: "worst" });
    objects.slice(0, shown).forEach((object) => list.append(entry(object, most)));
    const rest = objects.length - shown;
    const more = () => {
      shown += PAGE;
      TL.drawWorst(root, table);
    };
    const [head, body] = skeleton(root, table);
    TL.refill(
      body,
      objects.length ? list : el("p", { class: "empty" }, emptyText(table)),
      el("p", { class: "note" }, "Points of mean recall over classes and IoU thresholds; they add up to the gaps but for AP’s ranking and its 101 recall points."),
      rest > 0 ? el("button", { type: "button", onclick: more }, `${Math.min(rest, PAGE)} more of ${rest}`) : null,
    );
    syncFilters(head);
  };

  // Heading and filters stay in place while the list changes, or the search field would lose the focus.
  function skeleton(root, table) {
    if (!root.querySelector(".filters")) {
      TL.refill(root, el("h2", {}, "Objects by points lost"), filters(table), el("div", {}));
    }
    return [root.children[1], root.children[2]];
  }

  TL.resetWorst = () => (shown = PAGE);

  function emptyText(table) {
    return table.objects.length ? "No object matches these filters." : "The ground truth has no objects to diagnose.";
  }

  function filters(table) {
    const modes = [...new Set((table.events || []).map((event) => event.m))].sort();
    const option = (value, text) => el("option", { value }, text);
    const gap = el("select", { name: "by", "aria-label": "Gap", onchange: (event) => TL.set({ by: event.target.value }) });
    gap.append(option("all", "all gaps"), ...TL.GAPS.map((name) => option(name, `${name} gap`)));
    const mode = el("select", { name: "m", "aria-label": "Failure mode", onchange: (event) => TL.set({ m: event.target.value }) });
    mode.append(option("", modes.length ? "all failure modes" : "no failure modes"), ...modes.map((name) => option(name, TL.modeName(name))));
    mode.disabled = modes.length === 0;
    const search = el("input", { name: "s", type: "search", placeholder: "video or category", "aria-label": "Search" });
    search.addEventListener("input", () => TL.set({ s: search.value }));
    return el("div", { class: "filters" }, gap, mode, search);
  }

  function syncFilters(head) {
    for (const control of head.children) {
      if (control.value !== TL.state[control.name]) control.value = TL.state[control.name];
    }
  }

  function entry(object, most) {
    const chosen = object.v === TL.state.v && object.o === TL.state.o;
    const bar = el("span", { class: "stack", "aria-hidden": "true", style: { width: `${share(object, most)}%` } });
    TL.GAPS.forEach((name, i) => {
      const wanted = TL.state.by === "all" || TL.state.by === name;
      if (wanted && object.pts[i] > 0) bar.append(el("i", { style: { flexGrow: object.pts[i], background: TL.COLOURS[name] } }));
    });
    const iou = object.iou.map((value) => number(value, 2)).join(" → ");
    return el(
      "li",
      {},
      el(
        "button",
        { type: "button", "aria-pressed": String(chosen), class: chosen ? "chosen" : "", onclick: () => TL.pick(object.v, object.o) },
        el(
          "span",
          { class: "row" },
          el("b", {}, `${TL.category(object.c)} #${object.o}`),
          object.mode ? el("span", { class: "chip", title: TL.modeText(object.mode, "") }, TL.modeName(object.mode)) : null,
          el("span", { class: "lost" }, number(TL.lost(object, TL.state.by), 2)),
        ),
        el("span", { class: "bar" }, bar),
        el(
          "span",
          { class: "row small" },
          el("span", { class: "clip" }, TL.videoName(object.v)),
          el("span", { class: "iou", title: "Track IoU: as ranked → identities repaired → classes repaired too" }, `IoU ${iou}`),
        ),
      ),
    );
  }

  function share(object, most) {
    return Math.max(0, Math.min(100, (100 * TL.lost(object, TL.state.by)) / most));
  }

  TL.pick = (video, object) => TL.set({ v: video, o: object, t: null });

  // Moves along the list; from nowhere to its top.
  TL.step = function (by) {
    if (!filtered.length) return;
    const at = filtered.findIndex((object) => object.v === TL.state.v && object.o === TL.state.o);
    const to = at < 0 ? 0 : Math.max(0, Math.min(filtered.length - 1, at + by));
    if (to >= shown) shown = to + PAGE;
    TL.pick(filtered[to].v, filtered[to].o);
    document.querySelector(".worst .chosen")?.scrollIntoView({ block: "nearest" });
  };
})((window.TL = window.TL || {}));
