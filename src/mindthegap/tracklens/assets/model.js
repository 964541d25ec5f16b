// Small computations on the loaded data that several views share.
(function (TL) {
  "use strict";

  // Values per frame from run-length pairs.
  TL.unpack = function (pairs) {
    const values = [];
    for (let i = 0; i < pairs.length; i += 2) for (let n = 0; n < pairs[i + 1]; n++) values.push(pairs[i]);
    return values;
  };

  TL.experiment = () => TL.site.experiments[TL.state.e] || TL.site.experiments[0];
  TL.truth = () => TL.site.truths[TL.experiment().truth];

  TL.category = (id) => TL.truth().categories[String(id)] ?? `category ${id}`;

  const names = new Map(); // per ground truth a map from video id to name
  TL.videoName = function (id) {
    const truth = TL.truth();
    if (!names.has(truth)) names.set(truth, new Map(truth.videos.map((video) => [video[0], video[1]])));
    return names.get(truth).get(id) || `video ${id}`;
  };

  // Points an object loses to the gap that is being looked at; all three by default.
  TL.lost = function (object, by) {
    const at = TL.GAPS.indexOf(by);
    if (at >= 0) return object.pts[at] || 0;
    return object.pts.reduce((sum, value) => sum + (value || 0), 0);
  };

  // Joins a video's ground truth and predictions into what the views draw.
  TL.join = function (truth, predictions) {
    const lanes = new Map(predictions.objects.map((object) => [object.o, object]));
    const empty = () => ({ q: new Array(truth.length).fill(-1), iou: new Array(truth.length).fill(-1) });
    const objects = truth.objects.map((object) => {
      const found = lanes.get(object.o);
      const lane = (name) => (found ? { q: TL.unpack(found[name].q), iou: found[name].iou } : empty());
      return {
        ...object,
        present: object.masks.map((mask) => mask !== null),
        hidden: found ? found.hidden : [],
        carrier: lane("carrier"),
        tracking: lane("tracking"),
        classification: lane("classification"),
      };
    });
    const rank = colourRanks(objects, predictions.queries);
    // Owners come as positions among the diagnosed objects; negative codes say absent, background, mixed.
    const owner = (place) => (place >= 0 ? predictions.objects[place].o : place);
    const queries = predictions.queries.map((query) => ({
      ...query,
      owner: TL.unpack(query.owner).map(owner),
      colour: TL.queryColour(rank.get(query.family)),
      best: query.rows.reduce((best, row) => Math.max(best, row[2]), 0),
    }));
    const byNumber = new Map(queries.map((query) => [query.q, query]));
    return { ...truth, objects, queries, byNumber, events: predictions.events, leftOut: predictions.left_out };
  };

  // Queries take colours in the order in which they turn up in the lanes, so that neighbours differ; near copies
  // of one query (a family) share a colour, because a change between them is no change of identity.
  function colourRanks(objects, queries) {
    const rank = new Map();
    const family = new Map(queries.map((query) => [query.q, query.family]));
    const take = (q) => q >= 0 && !rank.has(family.get(q)) && rank.set(family.get(q), rank.size);
    for (const name of ["carrier", "tracking", "classification"]) {
      for (const object of objects) object[name].q.forEach(take);
    }
    queries.forEach((query) => take(query.q));
    return rank;
  }

  // Stretches of equal value: [value, first frame, frame after the last].
  TL.stretches = function (values) {
    const found = [];
    let start = 0;
    for (let t = 1; t <= values.length; t++) {
      if (t === values.length || values[t] !== values[start]) {
        found.push([values[start], start, t]);
        start = t;
      }
    }
    return found;
  };

  // Frame of an object where the oracle gains most over the carrier, else where the carrier is worst; within the
  // costliest event, if there is one.
  TL.worstFrame = function (video, object) {
    const events = (video.events || []).filter((event) => event.o === object.o && event.pts > 0 && event.t0 !== null);
    const costliest = events.reduce((best, event) => (best && best.pts >= event.pts ? best : event), null);
    const [first, last] = costliest ? [costliest.t0, costliest.t1] : [0, video.length - 1];
    let best = first;
    let most = -Infinity;
    for (let t = first; t <= last; t++) {
      if (!object.present[t]) continue;
      const carried = Math.max(0, object.carrier.iou[t]);
      const gain = Math.max(0, object.classification.iou[t]) - carried;
      const score = gain * 1000 - carried;
      if (score > most) [most, best] = [score, t];
    }
    return best;
  };

  // Where n and p jump: failure events, or, where those were not sought, changes of the carrying query.
  TL.stops = function (video, objectId) {
    if (video.events !== null) {
      const placed = video.events.filter((event) => event.t0 !== null);
      const mine = placed.filter((event) => event.o === objectId || event.o2 === objectId);
      return [...new Set((mine.length ? mine : placed).map((event) => event.t0))].sort((a, b) => a - b);
    }
    const stops = new Set();
    for (const object of video.objects) {
      if (objectId !== null && object.o !== objectId) continue;
      for (const [, start] of TL.stretches(object.carrier.q)) if (start > 0) stops.add(start);
    }
    return [...stops].sort((a, b) => a - b);
  };
})((window.TL = window.TL || {}));
