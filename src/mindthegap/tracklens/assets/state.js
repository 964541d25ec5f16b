// What is being looked at. It lives in the URL fragment, so that a view can be sent to somebody else.
(function (TL) {
  "use strict";

  // e experiment, v video id, o object id, t frame, by gap, m mode, s search; oracle, gt, all, zoom are switches.
  const DEFAULTS = { e: 0, v: null, o: null, t: null, by: "all", m: "", s: "", oracle: 0, gt: 1, all: 0, zoom: 0 };
  const NUMBERS = new Set(["e", "v", "o", "t", "oracle", "gt", "all", "zoom"]);
  const listeners = [];

  TL.state = { ...DEFAULTS };

  function parse(fragment) {
    const state = { ...DEFAULTS };
    for (const [name, value] of new URLSearchParams(fragment.replace(/^#/, ""))) {
      if (!(name in DEFAULTS)) continue;
      if (!NUMBERS.has(name)) state[name] = value;
      else if (/^-?\d{1,15}$/.test(value)) state[name] = Number(value);
    }
    return state;
  }

  function format(state) {
    const parts = new URLSearchParams();
    for (const [name, value] of Object.entries(state)) {
      if (value !== DEFAULTS[name] && value !== null) parts.set(name, String(value));
    }
    return `#${parts}`;
  }

  TL.onState = (listener) => listeners.push(listener);

  // Changes the view; listeners get the names of what changed.
  TL.set = function (patch) {
    const changed = new Set(Object.keys(patch).filter((name) => patch[name] !== TL.state[name]));
    if (changed.size === 0) return;
    Object.assign(TL.state, patch);
    history.replaceState(null, "", format(TL.state));
    for (const listener of listeners) listener(changed);
  };

  TL.readFragment = function () {
    const next = parse(location.hash);
    const changed = new Set(Object.keys(next).filter((name) => next[name] !== TL.state[name]));
    TL.state = next;
    return changed;
  };

  window.addEventListener("hashchange", () => {
    const changed = TL.readFragment();
    if (changed.size) for (const listener of listeners) listener(changed);
  });
})((window.TL = window.TL || {}));
