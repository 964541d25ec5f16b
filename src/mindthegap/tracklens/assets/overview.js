// Heading, experiments side by side, the waterfall of one of them, and where the numbers come from.
(function (TL) {
  "use strict";
  const { el, svg, number, signed } = TL;

  TL.drawHeading = function (root) {
    const synthetic = TL.site.experiments.some((experiment) => experiment.synthetic);
    const warnings = new Map(TL.site.experiments.filter((e) => e.warning).map((e) => [e.label, e.warning]));
    const total = (count) => TL.site.truths.reduce((sum, truth) => sum + count(truth), 0);
    const [videos, objects] = [total((truth) => truth.videos.length), total((truth) => truth.objects)];
    document.title = `${TL.site.title} · TrackLens`;
    TL.refill(
      root,
      el("h1", {}, TL.site.title),
      el("span", { class: "note" }, `${videos} videos, ${objects} objects`),
      synthetic ? el("span", { class: "badge", title: "Some of the data was generated" }, "synthetic data") : null,
      ...[...warnings].map(([label, text]) => el("p", { class: "warning", role: "alert" }, `${label}: ${text}`)),
      el("button", { type: "button", class: "help", onclick: () => TL.toggleHelp(), "aria-label": "Help" }, "?"),
    );
  };

  function parts(experiment) {
    const { levels, gaps } = experiment.gaps;
    return { AP: levels.default.AP, ...gaps };
  }

  // One line per experiment; shown when there is a choice.
  TL.drawExperiments = function (root) {
    if (TL.site.experiments.length < 2) return TL.refill(root);
    const rows = TL.site.experiments.map((experiment, index) => {
      const values = parts(experiment);
      const bar = el("div", { class: "stack", "aria-hidden": "true" });
      for (const [name, value] of Object.entries(values)) {
        if (value > 0) bar.append(el("i", { style: { flexGrow: value, background: TL.COLOURS[name] } }));
      }
      const cells = Object.values(values).map((value) => el("td", { class: value < 0 ? "negative" : "" }, number(value, 1)));
      const chosen = index === TL.state.e;
      const pick = el(
        "button",
        { type: "button", class: "link", "aria-pressed": String(chosen), onclick: () => TL.pickExperiment(index) },
        experiment.label,
      );
      return el("tr", { class: chosen ? "chosen" : "" }, el("th", { scope: "row" }, pick), cells, el("td", { class: "wide" }, bar));
    });
    const head = ["experiment", "AP", "tracking", "classif.", "segment.", ""].map((name) => el("th", { scope: "col" }, name));
    TL.refill(
      root,
      el("h2", {}, "Experiments"),
      el("div", { class: "scroll" }, el("table", { class: "experiments" }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows))),
    );
  };

  TL.pickExperiment = function (index) {
    const same = TL.site.experiments[index].truth === TL.experiment().truth;
    TL.set(same ? { e: index } : { e: index, v: null, o: null, t: null });
  };

  const STEPS = [
    ["AP", "AP", "AP as the benchmark scores it"],
    ["tracking", "tracking gap", "won back by repairing identities"],
    ["classification", "classification gap", "won back by repairing classes too"],
    ["segmentation", "segmentation gap", "lost for good: no relabelling wins it back"],
  ];

  const PARTS = {
    ranking: "ranking",
    association: "track lost",
    selection: "better mask",
    missed: "missed",
    mask_quality: "mask quality",
  };

  function splitText(experiment, name) {
    const split = (experiment.gaps.splits || {})[name];
    if (!split) return "";
    return Object.keys(PARTS)
      .filter((part) => part in split)
      .map((part) => `${PARTS[part]} ${number(split[part], 1)}`)
      .join(" · ");
  }

  TL.drawWaterfall = function (root) {
    const experiment = TL.experiment();
    const values = parts(experiment);
    const box = el("div", { class: "waterfall" });
    TL.refill(root, el("h2", {}, `Where the points go: ${experiment.label}`), box, caption(experiment), hedging(experiment));
    if (values.AP === null) {
      box.append(el("p", { class: "empty" }, "AP is undefined: no category of this ground truth has an object."));
      return;
    }
    box.append(waterfall(experiment, values, Math.max(260, box.clientWidth)));
  };

  function caption(experiment) {
    const solver = experiment.gaps.solver || {};
    const proven = solver.status === undefined || solver.status === "optimal";
    const proof = proven ? "" : " Not all components were solved to the optimum; see the provenance below.";
    const objective = experiment.gaps.objective ? `${experiment.gaps.objective} oracle` : "oracle";
    const samples = (experiment.gaps.intervals || {}).samples;
    const lines = samples ? ` Lines: 95 % intervals, ${samples} bootstrap samples of the videos.` : "";
    const text = `Points of AP, ${objective}.${lines}${proof} Click a gap to sort the objects by what they lose to it.`;
    return el("p", { class: "note" }, text);
  }

  // What the gaps are if every query counts once; null where every query has one row anyway.
  function hedging(experiment) {
    const told = experiment.gaps.hedging;
    if (!told || !(told.rows > told.queries)) return null;
    const { AP, gaps } = told.best_row_alone;
    const parts = STEPS.map(([name, title]) => `${title} ${number(name === "AP" ? AP : gaps[name], 1)}`);
    const rows = `${number(told.rows_per_query, 1)} rows per query: the oracle may choose the right class, so class errors count as ranking.`;
    return el("p", { class: "note hedging" }, `${rows} With the best row of each query alone: ${parts.join(", ")}.`);
  }

  function waterfall(experiment, values, width) {
    const narrow = width < 520;
    const label = narrow ? 98 : 150;
    const low = Math.min(0, ...running(values));
    const high = Math.max(100, ...running(values), ...intervalEnds(experiment, values));
    const right = 64; // room for "+100.0"
    const x = (value) => label + ((value - low) / (high - low)) * (width - label - right);
    const height = 40;
    const drawing = svg("svg", { width, height: STEPS.length * height + 4, role: "group", "aria-label": "Gap waterfall" });
    let at = 0;
    STEPS.forEach(([name, title, meaning], line) => {
      const value = values[name];
      const top = line * height + 4;
      const left = x(Math.min(at, at + value));
      const size = Math.max(1, x(Math.max(at, at + value)) - left);
      const active = TL.state.by === name;
      const step = svg("g", { class: name === "AP" ? "" : "step", tabindex: name === "AP" ? null : 0, role: name === "AP" ? null : "button" });
      if (name !== "AP") {
        const sort = () => TL.set({ by: active ? "all" : name });
        step.addEventListener("click", sort);
        step.addEventListener("keydown", (event) => event.key === "Enter" && sort());
      }
      const frame = { stroke: value < 0 ? TL.COLOURS.negative : active ? "#000" : "none", "stroke-width": 2 };
      step.append(
        svg("title", {}, `${title}: ${number(value, 2)} points, ${meaning}. ${splitText(experiment, name)}`),
        svg("rect", { x: 0, y: top - 3, width, height: height - 2, class: "hit" }),
        svg("text", { x: label - 10, y: top + 15, "text-anchor": "end", class: active ? "active" : "" }, narrow ? name : title),
        svg("rect", { x: left, y: top, width: size, height: 21, fill: TL.COLOURS[name], ...frame }),
      );
      const span = (experiment.gaps.intervals || {})[name];
      const end = span ? Math.max(left + size, x(at + span[1])) : left + size;
      if (span) step.append(whisker(x(at + span[0]), x(at + span[1]), top + 10.5, span));
      step.append(svg("text", { x: end + 5, y: top + 15, class: "value" }, line ? signed(value, 1) : number(value, 1)));
      const split = splitText(experiment, name);
      if (split) step.append(svg("text", { x: narrow ? 0 : label, y: top + 33, class: "split" }, split));
      at += value;
      if (line < STEPS.length - 1) step.append(svg("line", { x1: x(at), x2: x(at), y1: top, y2: top + height + 21, class: "join" }));
      drawing.append(step);
    });
    return drawing;
  }

  // How far to the right the intervals reach.
  function intervalEnds(experiment, values) {
    const starts = [0, ...running(values)];
    return STEPS.map(([name], i) => ((experiment.gaps.intervals || {})[name] ? starts[i] + experiment.gaps.intervals[name][1] : 0));
  }

  // An interval as a line with end marks.
  function whisker(from, to, y, [low, high]) {
    const path = `M${from},${y - 4} V${y + 4} M${from},${y} H${to} M${to},${y - 4} V${y + 4}`;
    return svg("g", {}, svg("title", {}, `95 % interval ${number(low, 1)} to ${number(high, 1)}`), svg("path", { d: path, class: "whisker" }));
  }

  function running(values) {
    let at = 0;
    return STEPS.map(([name]) => (at += values[name]));
  }

  TL.drawProvenance = function (root) {
    const experiment = TL.experiment();
    const truth = TL.truth();
    const facts = [
      ["TrackLens", `version ${TL.site.version}`],
      ["data", `${truth.videos.length} videos, ${truth.objects} objects, ${experiment.rows} result rows`],
      ["origin", experiment.synthetic ? "synthetic data: generated, not filmed" : "not marked as synthetic"],
      ...Object.entries(experiment.gaps.solver || {}).map(([key, value]) => [`solver ${key.replaceAll("_", " ")}`, typeof value === "object" ? JSON.stringify(value) : String(value)]),
      ...Object.entries(TL.site.thresholds).map(([key, value]) => [key.replaceAll("_", " "), String(value)]),
      ...experiment.inputs.map((input) => [input.role, `${input.name}  sha256 ${input.sha256}`]),
    ];
    const list = el("dl", {});
    for (const [name, text] of facts) list.append(el("dt", {}, name), el("dd", {}, text));
    TL.refill(root, el("details", {}, el("summary", {}, "Where these numbers come from"), list));
  };
})((window.TL = window.TL || {}));
