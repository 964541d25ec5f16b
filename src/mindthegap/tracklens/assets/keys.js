// Keyboard and its help.
(function (TL) {
  "use strict";
  const { el } = TL;

  const KEYS = [
    ["←  →", "frame before, next frame (Shift: ten frames)"],
    ["n  p", "next, previous event"],
    ["j  k", "next, previous object of the list"],
    ["o", "the oracle’s choice instead of the method’s own tracks"],
    ["g", "ground truth on or off"],
    ["a", "all kept queries on or off"],
    ["z", "close-up of the chosen object"],
    ["m", "next experiment"],
    ["?", "this help"],
  ];

  let help = null;

  TL.toggleHelp = function () {
    if (help && help.open) {
      help.close();
      return;
    }
    if (!help) {
      const list = el("dl", {});
      for (const [key, text] of KEYS) list.append(el("dt", {}, el("kbd", {}, key)), el("dd", {}, text));
      const close = el("button", { type: "button", onclick: () => help.close() }, "Close");
      help = el("dialog", { "aria-label": "Keys" }, el("h2", {}, "Keys"), list, el("p", { class: "note" }, "Dashed white: ground truth. Filled: masks, in the colour of their query. The address of the page holds the view; send it to share it."), close);
      document.body.append(help);
    }
    help.showModal();
  };

  function nextExperiment() {
    const count = TL.site.experiments.length;
    if (count > 1) TL.pickExperiment((TL.state.e + 1) % count);
  }

  const ACTIONS = {
    n: () => TL.moveEvent(1),
    p: () => TL.moveEvent(-1),
    j: () => TL.step(1),
    k: () => TL.step(-1),
    o: () => TL.flip("oracle"),
    g: () => TL.flip("gt"),
    a: () => TL.flip("all"),
    z: () => TL.flip("zoom"),
    m: nextExperiment,
    "?": () => TL.toggleHelp(),
  };

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input[type=search], select, textarea");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !TL.site) return;
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      event.preventDefault();
      TL.moveFrame((event.key === "ArrowRight" ? 1 : -1) * (event.shiftKey ? 10 : 1));
    } else if (Object.hasOwn(ACTIONS, event.key)) {
      ACTIONS[event.key]();
    }
  });
})((window.TL = window.TL || {}));
