// Puts the views together and redraws what a change of state touches.
(function (TL) {
  "use strict";
  const { el } = TL;
  const areas = {};

  function layOut() {
    for (const name of ["experiments", "waterfall", "worst", "video", "provenance"]) {
      areas[name] = el("section", { id: name });
    }
    const app = document.getElementById("app");
    app.replaceChildren(
      el("div", { class: "overview" }, areas.experiments, areas.waterfall),
      el("div", { class: "columns" }, areas.worst, areas.video),
      areas.provenance,
    );
  }

  async function drawTable() {
    const index = TL.site.experiments.indexOf(TL.experiment());
    const table = await TL.load(`x${index}`);
    if (index !== TL.site.experiments.indexOf(TL.experiment())) return;
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

  function everything() {
    redraw(new Set(["e", "v"]));
  }

  async function start() {
    TL.site = await TL.load("site");
    TL.readFragment();
    if (!TL.site.experiments[TL.state.e]) TL.state.e = 0;
    TL.drawHeading(document.getElementById("heading"));
    layOut();
    TL.onState(redraw);
    everything();
    let width = window.innerWidth;
    window.addEventListener("resize", () => {
      if (window.innerWidth === width) return; // phones resize when their address bar hides
      width = window.innerWidth;
      everything();
    });
  }

  start().catch(report);
})((window.TL = window.TL || {}));
