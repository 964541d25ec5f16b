// Puts the views together and redraws what a change of state touches.
(function (TL) {
  "use strict";
  const { el } = TL;
  const areas = {};

  function layOut() {
    for (const name of ["experiments", "waterfall", "modes", "worst", "video", "provenance"]) {
      areas[name] = el("section", { id: name });
    }
    const app = document.getElementById("app");
    app.replaceChildren(
      el("div", { class: "overview" }, areas.experiments, areas.waterfall, areas.modes),
      el("div", { class: "columns" }, areas.worst, areas.video),
      areas.provenance,
    );
  }

  async function drawTable() {
    const index = TL.site.experiments.indexOf(TL.experiment());
    const table = await TL.load(`x${index}`);
    if (index !== TL.site.experiments.indexOf(TL.experiment())) return;
    TL.drawModes(areas.modes, table);
    TL.drawWorst(areas.worst, table);
    if (TL.state.v === null && TL.worstList().length) {
      const first = TL.worstList()[0];
      TL.set({ v: first.v, o: first.o });
    }
  }

  const report = (error) => document.getElementById("app").prepend(el("p", { class: "empty error", role: "alert" }, error.message));

  function redraw(changed) {
    const any = (...names) => names.some((name) => changed.has(name));
    if (changed.size === 1 && changed.has("t")) {
      TL.refreshFrame();
      return;
    }
    if (any("e")) {
      areas.worst.replaceChildren();
      TL.drawExperiments(areas.experiments);
      TL.drawProvenance(areas.provenance);
    }
    if (any("e", "by")) TL.drawWaterfall(areas.waterfall);
    if (any("e", "by", "m", "s")) TL.resetWorst();
    if (any("e", "by", "m", "s", "v", "o")) drawTable().catch(report);
    if (any("e", "v", "o", "t", "by", "oracle", "gt", "all", "zoom")) TL.openVideo(areas.video);
  }

  // Drawings are made for a width; a neighbour that appears changes it as well as the window does.
  function redrawOnResize(area, draw) {
    let width = area.clientWidth;
    new ResizeObserver(() => {
      if (area.clientWidth === width) return;
      width = area.clientWidth;
      draw();
    }).observe(area);
  }

  async function start() {
    TL.site = await TL.load("site");
    TL.readFragment();
    if (!TL.site.experiments[TL.state.e]) TL.state.e = 0;
    TL.drawHeading(document.getElementById("heading"));
    layOut();
    TL.onState(redraw);
    redraw(new Set(["e", "v"]));
    redrawOnResize(areas.waterfall, () => TL.drawWaterfall(areas.waterfall));
    redrawOnResize(areas.video, () => TL.openVideo(areas.video));
  }

  start().catch(report);
})((window.TL = window.TL || {}));
