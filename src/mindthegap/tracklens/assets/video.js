// The video view: frame, scrubber, lanes and events of the chosen object's video.
(function (TL) {
  "use strict";
  const { el } = TL;
  let view = null; // {video, root, frame, ...} of the video on show
  let wanted = ""; // what was asked for last; answers that come late are dropped

  TL.currentVideo = () => view && view.video;

  TL.openVideo = async function (root) {
    const { v } = TL.state;
    if (v === null) {
      view = null;
      TL.refill(root, el("p", { class: "empty" }, "Choose an object in the list to see its video."));
      return;
    }
    const experiment = TL.site.experiments.indexOf(TL.experiment());
    const key = `p${experiment}/${v}`;
    wanted = key;
    if (view && view.key === key) {
      update(view);
      return;
    }
    try {
      const [truth, predictions] = await Promise.all([TL.load(`g${TL.experiment().truth}/${v}`), TL.load(key)]);
      if (wanted !== key) return;
      view = build(root, key, TL.join(truth, predictions));
      update(view);
    } catch (error) {
      if (wanted !== key) return;
      view = null;
      TL.refill(root, el("p", { class: "empty error", role: "alert" }, error.message));
    }
  };

  function build(root, key, video) {
    const frame = TL.frameView(video, key);
    const scrubber = el("input", { type: "range", min: 0, max: Math.max(0, video.length - 1), step: 1, "aria-label": "Frame" });
    scrubber.addEventListener("input", () => TL.showFrame(Number(scrubber.value)));
    const parts = {
      title: el("h2", {}),
      note: el("span", { class: "note", "aria-live": "polite" }),
      lanes: el("div", { class: "lanebox" }),
      queries: el("div", { class: "lanebox" }),
      events: el("div", { class: "events" }),
      switches: el("div", { class: "switches" }),
    };
    const left = el("button", { type: "button", "aria-label": "Frame before", onclick: () => TL.moveFrame(-1) }, "◀");
    const right = el("button", { type: "button", "aria-label": "Next frame", onclick: () => TL.moveFrame(1) }, "▶");
    TL.refill(
      root,
      parts.title,
      parts.switches,
      frame.box,
      el("div", { class: "scrub" }, left, scrubber, right),
      parts.note,
      el("h3", {}, "Objects over time"),
      parts.lanes,
      el("h3", {}, "Events"),
      parts.events,
      el("h3", {}, "Queries over time"),
      parts.queries,
    );
    return { key, video, root, frame, scrubber, ...parts };
  }

  // Puts the state into a view that is already built.
  function update(at) {
    const { video } = at;
    const object = video.objects.find((candidate) => candidate.o === TL.state.o) || null;
    if (TL.state.t === null || TL.state.t >= video.length || TL.state.t < 0) {
      TL.set({ t: object ? TL.worstFrame(video, object) : 0 });
    }
    const name = video.name || `video ${TL.state.v}`;
    at.title.textContent = object ? `${name}: ${TL.category(object.c)} #${object.o}` : name;
    drawSwitches(at);
    TL.drawLanes(at.lanes, video, TL.showFrame);
    TL.drawQueryLanes(at.queries, video, TL.showFrame);
    drawEvents(at);
    drawFrame(at);
  }

  function drawFrame(at) {
    const { t } = TL.state;
    at.frame.show(t);
    at.scrubber.value = t;
    at.scrubber.setAttribute("aria-valuetext", `frame ${t} of ${at.video.length - 1}`);
    at.note.textContent = frameText(at.video, t);
    TL.moveCursors(at.root, t);
  }

  function frameText(video, t) {
    const object = video.objects.find((candidate) => candidate.o === TL.state.o);
    const place = `frame ${t} of 0–${video.length - 1}`;
    if (!object) return place;
    if (!object.present[t]) return `${place} · #${object.o} is absent`;
    const level = TL.oracleLevel();
    const say = (lane, none) => (lane.q[t] < 0 ? none : `q${lane.q[t]} at IoU ${(lane.iou[t] / 100).toFixed(2)}`);
    return `${place} · #${object.o} carried by ${say(object.carrier, "no query")} · oracle: ${say(object[level], "no mask")}`;
  }

  const SWITCHES = [
    ["oracle", "oracle’s choice", "o"],
    ["gt", "ground truth", "g"],
    ["all", "all kept queries", "a"],
    ["zoom", "close-up", "z"],
  ];

  function drawSwitches(at) {
    TL.refill(
      at.switches,
      ...SWITCHES.map(([name, text, key]) =>
        el("button", { type: "button", "aria-pressed": String(Boolean(TL.state[name])), onclick: () => TL.flip(name) }, text, " ", el("kbd", {}, key)),
      ),
    );
  }

  TL.flip = (name) => TL.set({ [name]: TL.state[name] ? 0 : 1 });

  function drawEvents(at) {
    const { events } = at.video;
    if (events === null) {
      TL.refill(at.events, el("p", { class: "note" }, "Failure modes were not sought in this diagnosis; n and p jump to changes of the carrying query."));
      return;
    }
    if (!events.length) {
      TL.refill(at.events, el("p", { class: "note" }, "No failure event in this video."));
      return;
    }
    const mine = (event) => event.o === TL.state.o || event.o2 === TL.state.o;
    const order = (event) => (event.t0 === null ? 2 : mine(event) ? 0 : 1);
    const chip = (event) =>
      el("button", { type: "button", class: mine(event) ? "chip mine" : "chip", title: TL.modeText(event.m, event.s), onclick: () => jump(event) }, event.o === null ? "" : `#${event.o} `, TL.eventText(event));
    TL.refill(at.events, ...[...events].sort((a, b) => order(a) - order(b)).map(chip));
  }

  function jump(event) {
    const t = event.t0 ?? TL.state.t;
    TL.set(event.o === null ? { t } : { o: event.o, t });
  }

  // Only the frame changes: lanes and lists stay as they are.
  TL.showFrame = (t) => TL.set({ t });
  TL.refreshFrame = () => view && drawFrame(view);

  TL.moveFrame = function (by) {
    if (!view) return;
    TL.showFrame(Math.max(0, Math.min(view.video.length - 1, (TL.state.t ?? 0) + by)));
  };

  TL.moveEvent = function (by) {
    if (!view) return;
    const stops = TL.stops(view.video, TL.state.o);
    const next = by > 0 ? stops.find((t) => t > TL.state.t) : stops.reverse().find((t) => t < TL.state.t);
    if (next !== undefined) TL.showFrame(next);
  };
})((window.TL = window.TL || {}));
