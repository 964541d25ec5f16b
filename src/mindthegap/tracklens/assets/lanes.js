// Swimlanes: one lane per object over time, coloured by the query that carries it; below, a lane per query.
(function (TL) {
  "use strict";
  const { el, svg } = TL;
  const LANE = 30;
  const CARRIER = 14; // height of the upper strip: the method's own tracks
  const ORACLE = 6; // height of the lower strip: the oracle's choice
  const QUERY = 17;

  TL.drawLanes = function (root, video, show) {
    const width = Math.max(280, root.clientWidth);
    const label = width < 520 ? 84 : 132;
    const x = (t) => label + (t / video.length) * (width - label - 2);
    const place = { width, label, x, show };
    const lanes = video.objects.map((object, line) => objectLane(video, object, line * LANE, place));
    const height = Math.max(LANE, video.objects.length * LANE);
    const drawing = board(video, place, height, "Objects over time", lanes);
    TL.refill(
      root,
      video.objects.length ? drawing : el("p", { class: "empty" }, "This video has no annotated objects."),
      legend(),
    );
  };

  TL.drawQueryLanes = function (root, video, show) {
    const width = Math.max(280, root.clientWidth);
    const label = width < 520 ? 84 : 132;
    const x = (t) => label + (t / video.length) * (width - label - 2);
    const place = { width, label, x, show };
    const lanes = video.queries.map((query, line) => queryLane(video, query, line * QUERY, place));
    if (!video.queries.length) {
      TL.refill(root, el("p", { class: "empty" }, "No predictions in this video: every object is missed."));
      return;
    }
    const note = video.leftOut ? ` ${video.leftOut} more are not drawn: they carry nothing, are in no event and score lower.` : "";
    TL.refill(
      root,
      board(video, place, video.queries.length * QUERY, "Queries over time", lanes),
      el("p", { class: "note" }, `Filled where a query covers the chosen object, pale with a number where it covers another one, empty outline on background.${note}`),
    );
  };

  // The drawing with its cursor; a press anywhere moves to that frame.
  function board(video, place, height, title, lanes) {
    const cursor = svg("line", { class: "cursor", y1: 0, y2: height });
    const drawing = svg("svg", { width: place.width, height, class: "lanes", role: "group", "aria-label": title }, lanes, cursor);
    const seek = (event) => {
      const at = event.clientX - drawing.getBoundingClientRect().left;
      if (at < place.label) return;
      const t = Math.floor(((at - place.label) / (place.width - place.label - 2)) * video.length);
      place.show(Math.max(0, Math.min(video.length - 1, t)));
    };
    drawing.addEventListener("pointerdown", seek);
    drawing.addEventListener("pointermove", (event) => event.buttons === 1 && seek(event));
    drawing.moveCursor = (t) => {
      const middle = place.x(t + 0.5);
      cursor.setAttribute("x1", middle);
      cursor.setAttribute("x2", middle);
    };
    drawing.moveCursor(TL.state.t ?? 0);
    return drawing;
  }

  TL.moveCursors = function (root, t) {
    for (const drawing of root.querySelectorAll("svg.lanes")) drawing.moveCursor(t);
  };

  function objectLane(video, object, top, place) {
    const chosen = object.o === TL.state.o;
    const lane = svg("g", { class: chosen ? "lane chosen" : "lane" });
    lane.append(svg("rect", { x: 0, y: top, width: place.width, height: LANE, class: "hit" }));
    lane.append(laneName(`${TL.category(object.c)} #${object.o}`, top + 17, place.label, () => TL.set({ o: object.o })));
    const level = TL.oracleLevel();
    // Absent frames split a stretch, so that a gap in the lane is a gap in time.
    const codes = object.carrier.q.map((q, t) => (object.present[t] ? q : -2));
    for (const [q, start, end] of TL.stretches(codes)) {
      if (q === -2) continue;
      lane.append(strip(video, q, place.x(start), top + 4, place.x(end), CARRIER, tip("carried by", q, object.carrier.iou, start, end)));
    }
    for (const [q, start, end] of TL.stretches(object[level].q)) {
      if (q < 0) continue;
      lane.append(strip(video, q, place.x(start), top + 20, place.x(end), ORACLE, tip("oracle chooses", q, object[level].iou, start, end)));
    }
    for (const [start, end, rule] of object.hidden) {
      const size = { x: place.x(start), y: top + 2, width: place.x(end + 1) - place.x(start), height: LANE - 4 };
      lane.append(svg("rect", { ...size, class: "hiddenspan" }, svg("title", {}, `hidden (${rule}), frames ${start}–${end}`)));
    }
    for (const event of video.events || []) {
      if (event.o === object.o && event.t0 !== null) lane.append(glyph(event, place.x(event.t0), top + 2));
    }
    return lane;
  }

  function laneName(text, y, label, pick) {
    const most = Math.floor((label - 8) / 6.4);
    const name = svg("text", { x: 2, y, class: "name", tabindex: 0, role: "button" });
    name.append(svg("title", {}, text), document.createTextNode(text.length > most ? `${text.slice(0, most - 1)}…` : text));
    name.addEventListener("click", pick);
    name.addEventListener("keydown", (event) => event.key === "Enter" && pick());
    return name;
  }

  function tip(what, q, iou, start, end) {
    const known = iou.slice(start, end).filter((value) => value >= 0);
    const mean = known.length ? `, mean IoU ${(known.reduce((a, b) => a + b, 0) / known.length / 100).toFixed(2)}` : "";
    const who = q >= 0 ? `${what} q${q}` : "present, carried by no query";
    return `${who}, frames ${start}–${end - 1}${mean}`;
  }

  function strip(video, q, left, top, right, height, title) {
    const query = video.byNumber.get(q);
    const width = Math.max(1, right - left - (right - left > 4 ? 0.8 : 0));
    const group = svg("g", {}, svg("title", {}, title));
    if (!query) {
      group.append(svg("rect", { x: left + 0.5, y: top + 0.5, width: Math.max(1, width - 1), height: height - 1, class: "nobody" }));
      return group;
    }
    group.append(svg("rect", { x: left, y: top, width, height, fill: query.colour }));
    const text = `q${q}`;
    if (height > 10 && width > 7 * text.length + 4) {
      group.append(svg("text", { x: left + 4, y: top + height - 3, style: { fill: TL.inkOn(query.colour) }, class: "inside" }, text));
    }
    return group;
  }

  function glyph(event, x, top) {
    const mark = svg("path", { d: `M${x - 4},${top} L${x + 4},${top} L${x},${top + 7} Z`, class: "glyph" });
    return svg("g", {}, svg("title", {}, TL.eventText(event)), mark);
  }

  TL.eventText = function (event) {
    const end = event.t1 !== null && event.t1 !== event.t0 ? `–${event.t1}` : "";
    if (event.t0 === null) return `${TL.modeName(event.m)}: explained by no event, ${TL.number(event.pts, 2)} points`;
    const kind = event.s ? ` (${TL.modeName(event.s)})` : "";
    const cost = event.pts === null ? "" : `, ${TL.number(event.pts, 2)} points`;
    return `${TL.modeName(event.m)}${kind}, frame${end && "s"} ${event.t0}${end}${cost}`;
  };

  function queryLane(video, query, top, place) {
    const lane = svg("g", { class: "lane" });
    const label = query.rows.map((row) => `${TL.category(row[1])} ${row[2].toFixed(2)}`).join(", ");
    lane.append(svg("rect", { x: 2, y: top + 3, width: 10, height: 10, fill: query.colour }));
    const name = `q${query.q} ${label}`;
    const most = Math.floor((place.label - 22) / 6.2);
    const text = svg("text", { x: 16, y: top + 12, class: "name" });
    text.append(svg("title", {}, name), document.createTextNode(name.length > most ? `${name.slice(0, most - 1)}…` : name));
    lane.append(text);
    for (const [owner, start, end] of TL.stretches(query.owner)) {
      if (owner === -1) continue;
      lane.append(ownerStrip(video, query, owner, place.x(start), top + 3, place.x(end), start, end));
    }
    return lane;
  }

  function ownerStrip(video, query, owner, left, top, right, start, end) {
    const object = owner >= 0 ? video.objects.find((candidate) => candidate.o === owner) : null;
    const who = object ? `${TL.category(object.c)} #${object.o}` : owner === -2 ? "background" : "several objects in part";
    const mine = object && object.o === TL.state.o;
    const kind = object ? (mine ? "mine" : "other") : owner === -2 ? "nobody" : "mixed";
    const width = Math.max(1, right - left - (right - left > 4 ? 0.8 : 0));
    const group = svg("g", {}, svg("title", {}, `q${query.q} on ${who}, frames ${start}–${end - 1}`));
    group.append(svg("rect", { x: left, y: top, width, height: QUERY - 6, fill: query.colour, stroke: query.colour, class: `owner ${kind}` }));
    const text = object ? `#${object.o}` : owner === -3 ? "mix" : "";
    if (text && width > 7 * text.length + 4) {
      const ink = mine ? TL.inkOn(query.colour) : "#222";
      group.append(svg("text", { x: left + 3, y: top + 9, style: { fill: ink }, class: "inside" }, text));
    }
    return group;
  }

  function legend() {
    const level = TL.oracleLevel() === "tracking" ? "identities repaired" : "identities and classes repaired";
    return el("p", { class: "note" }, `Upper strip: the query that carries the object (IoU ≥ ${TL.site.thresholds.carrier_iou}); a change of colour is a change of identity, an empty box means nobody carries it, a gap that it is absent, a grey veil that it is hidden. Lower strip: the oracle's choice, ${level}.`);
  }
})((window.TL = window.TL || {}));
