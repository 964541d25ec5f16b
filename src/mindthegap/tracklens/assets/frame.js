// One frame: the image where there is one, and the outlines on top of it.
(function (TL) {
  "use strict";
  const { el } = TL;
  const AHEAD = 5; // frames loaded before they are asked for
  const MOST_ZOOM = 5;
  const preloaded = [];

  TL.frameAddress = function (video, t) {
    const base = TL.truth().frames;
    const name = video.files[t];
    if (base === null || !name) return null;
    return `${base}/${name.split("/").map(encodeURIComponent).join("/")}`;
  };

  // Builds the view once per video; show(t) draws a frame.
  TL.frameView = function (video, key) {
    const image = el("img", { alt: "", draggable: "false" });
    const canvas = el("canvas", { role: "img" });
    const message = el("p", { class: "noframe" });
    const [height, width] = video.size;
    const stage = el("div", { class: "stage" }, image, canvas);
    const shape = { aspectRatio: `${width} / ${height}`, maxWidth: `calc(74vh * ${width / height})` };
    const box = el("div", { class: "frame", style: shape }, stage, message);
    image.addEventListener("error", () => {
      if (!image.getAttribute("src")) return;
      image.classList.add("hidden");
      message.textContent = `The image ${video.files[TL.state.t] ?? ""} is not where the page expects it; masks are shown on grey.`;
    });
    image.addEventListener("load", () => {
      image.classList.remove("hidden");
      message.textContent = "";
    });
    const show = (t) => {
      setImage(image, message, video, t);
      placeStage(stage, video, t);
      paint(canvas, stage, video, key, t);
      canvas.setAttribute("aria-label", describe(video, t));
    };
    return { box, show };
  };

  // The stage holds image and masks; for a close-up it is larger than the frame and moved so that the object is in view.
  function placeStage(stage, video, t) {
    const area = TL.state.zoom ? closeUp(video, t) : { scale: 1, left: 0, top: 0 };
    Object.assign(stage.style, {
      width: `${100 * area.scale}%`,
      height: `${100 * area.scale}%`,
      left: `${-100 * area.left * area.scale}%`,
      top: `${-100 * area.top * area.scale}%`,
    });
  }

  // Magnification and the corner of the part in view (as shares of the frame) around the chosen object; when it is
  // absent, around its mask in the nearest frame.
  function closeUp(video, t) {
    const object = video.objects.find((candidate) => candidate.o === TL.state.o);
    const frames = object ? object.present.map((present, at) => (present ? at : -1)).filter((at) => at >= 0) : [];
    if (!frames.length) return { scale: 1, left: 0, top: 0 };
    const nearest = frames.reduce((best, at) => (Math.abs(at - t) < Math.abs(best - t) ? at : best));
    const [height, width] = video.drawn;
    const [left, top, right, bottom] = objectShape(video, object, nearest).box;
    const scale = Math.max(1, Math.min(MOST_ZOOM, 0.6 / Math.max((right - left) / width, (bottom - top) / height)));
    const corner = (middle) => Math.max(0, Math.min(1 - 1 / scale, middle - 0.5 / scale));
    return { scale, left: corner((left + right) / 2 / width), top: corner((top + bottom) / 2 / height) };
  }

  function objectShape(video, object, t) {
    return TL.shape(`g${TL.experiment().truth}/${TL.state.v}/${object.o}/${t}`, object.masks[t], ...video.drawn);
  }

  function setImage(image, message, video, t) {
    const address = TL.frameAddress(video, t);
    if (address === null) {
      image.removeAttribute("src");
      image.classList.add("hidden");
      message.textContent = TL.truth().frames === null ? "No frames were given: masks are shown on grey." : "This frame has no usable file name.";
      return;
    }
    if (image.getAttribute("src") !== address) image.src = address;
    preloaded.length = 0;
    for (let ahead = t + 1; ahead <= Math.min(t + AHEAD, video.length - 1); ahead++) {
      const next = TL.frameAddress(video, ahead);
      if (next === null) continue;
      const loader = new Image();
      loader.src = next;
      preloaded.push(loader);
    }
  }

  function describe(video, t) {
    const shown = TL.shownQueries(video, t).map((query) => `query ${query.q}`);
    const objects = video.objects.filter((object) => object.present[t]).map((object) => `${TL.category(object.c)} ${object.o}`);
    return `Frame ${t}. Objects: ${objects.join(", ") || "none"}. Shown: ${shown.join(", ") || "no masks"}.`;
  }

  // Queries drawn in a frame: the oracle's choices, or those that carry an object (or all that are kept).
  TL.shownQueries = function (video, t) {
    const present = video.queries.filter((query) => query.masks[t] !== null);
    if (TL.state.oracle) {
      const chosen = new Set(video.objects.map((object) => object[TL.oracleLevel()].q[t]));
      return present.filter((query) => chosen.has(query.q));
    }
    if (TL.state.all) return present;
    const carrying = new Set(video.objects.flatMap((object) => object.carrier.q));
    return present.filter((query) => carrying.has(query.q));
  };

  TL.oracleLevel = () => (TL.state.by === "tracking" ? "tracking" : "classification");

  function paint(canvas, stage, video, key, t) {
    const ratio = window.devicePixelRatio || 1;
    const scale = stage.clientWidth / video.drawn[1];
    canvas.width = Math.round(stage.clientWidth * ratio);
    canvas.height = Math.round(stage.clientHeight * ratio);
    const context = canvas.getContext("2d");
    const seen = [-stage.offsetLeft, -stage.offsetTop, stage.parentNode.clientWidth].map((length) => length * ratio);
    const pen = { context, scale: scale * ratio, ratio, seen };
    for (const query of TL.shownQueries(video, t)) {
      const shape = TL.shape(`${key}/q${query.q}/${t}`, query.masks[t], ...video.drawn);
      drawQuery(pen, shape, query, dimmed(video, query, t));
    }
    if (TL.state.gt) {
      for (const object of video.objects) {
        if (!object.present[t]) continue;
        drawObject(pen, objectShape(video, object, t), object.o === TL.state.o);
      }
    }
    for (const query of TL.shownQueries(video, t)) {
      const shape = TL.shape(`${key}/q${query.q}/${t}`, query.masks[t], ...video.drawn);
      drawLabel(pen, shape, `q${query.q}`, query.colour);
    }
  }

  // Queries that have nothing to do with the chosen object in this frame step back.
  function dimmed(video, query, t) {
    const object = video.objects.find((candidate) => candidate.o === TL.state.o);
    if (!object) return false;
    const lanes = [object.carrier, object.tracking, object.classification];
    return !lanes.some((lane) => lane.q.includes(query.q)) && query.owner[t] !== object.o;
  }

  function drawQuery({ context, scale, ratio }, shape, query, dim) {
    context.save();
    context.scale(scale, scale);
    context.globalAlpha = dim ? 0.12 : 0.38;
    context.fillStyle = query.colour;
    context.fill(shape.path, "evenodd");
    context.globalAlpha = dim ? 0.5 : 1;
    context.lineWidth = (2 * ratio) / scale;
    context.strokeStyle = query.colour;
    context.stroke(shape.path);
    context.restore();
  }

  function drawObject({ context, scale, ratio }, shape, chosen) {
    context.save();
    context.scale(scale, scale);
    context.lineWidth = ((chosen ? 3.2 : 2) * ratio) / scale;
    context.strokeStyle = "rgba(0, 0, 0, 0.7)";
    context.stroke(shape.path);
    context.lineWidth = ((chosen ? 1.7 : 1) * ratio) / scale;
    context.strokeStyle = "#ffffff";
    context.setLineDash([(6 * ratio) / scale, (4 * ratio) / scale]);
    context.stroke(shape.path);
    context.restore();
  }

  // Labels stay inside the part in view.
  function drawLabel({ context, scale, ratio, seen }, shape, text, colour) {
    const size = 12 * ratio;
    context.font = `600 ${size}px system-ui, sans-serif`;
    const width = context.measureText(text).width + 6 * ratio;
    const [left, top, room] = seen;
    const x = Math.max(left, Math.min(left + room - width, shape.top[0] * scale - width / 2));
    const y = Math.max(top, shape.top[1] * scale - size - 5 * ratio);
    context.fillStyle = colour;
    context.fillRect(x, y, width, size + 4 * ratio);
    context.fillStyle = TL.inkOn(colour);
    context.fillText(text, x + 3 * ratio, y + size);
  }
})((window.TL = window.TL || {}));
