// One frame: the image where there is one, and the outlines on top of it.
(function (TL) {
  "use strict";
  const { el } = TL;
  const AHEAD = 5; // frames loaded before they are asked for
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
    const box = el("div", { class: "frame", style: { aspectRatio: `${width} / ${height}`, maxWidth: `calc(74vh * ${width / height})` } }, image, canvas, message);
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
      paint(canvas, box, video, key, t);
      canvas.setAttribute("aria-label", describe(video, t));
    };
    return { box, show };
  };

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

  function paint(canvas, box, video, key, t) {
    const ratio = window.devicePixelRatio || 1;
    const scale = box.clientWidth / video.drawn[1];
    canvas.width = Math.round(box.clientWidth * ratio);
    canvas.height = Math.round(box.clientHeight * ratio);
    const context = canvas.getContext("2d");
    const pen = { context, scale: scale * ratio, ratio };
    for (const query of TL.shownQueries(video, t)) {
      const shape = TL.shape(`${key}/q${query.q}/${t}`, query.masks[t], ...video.drawn);
      drawQuery(pen, shape, query, dimmed(video, query, t));
    }
    if (TL.state.gt) {
      for (const object of video.objects) {
        if (!object.present[t]) continue;
        const shape = TL.shape(`g${TL.experiment().truth}/${TL.state.v}/${object.o}/${t}`, object.masks[t], ...video.drawn);
        drawObject(pen, shape, object.o === TL.state.o);
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
    context.lineWidth = ((chosen ? 4 : 2.5) * ratio) / scale;
    context.strokeStyle = "rgba(0, 0, 0, 0.75)";
    context.stroke(shape.path);
    context.lineWidth = ((chosen ? 2.2 : 1.2) * ratio) / scale;
    context.strokeStyle = "#ffffff";
    context.setLineDash([(6 * ratio) / scale, (4 * ratio) / scale]);
    context.stroke(shape.path);
    context.restore();
  }

  function drawLabel({ context, scale, ratio }, shape, text, colour) {
    const size = 12 * ratio;
    context.font = `600 ${size}px system-ui, sans-serif`;
    const width = context.measureText(text).width + 6 * ratio;
    const limit = context.canvas.width - width;
    const x = Math.max(0, Math.min(limit, shape.top[0] * scale - width / 2));
    const y = Math.max(0, shape.top[1] * scale - size - 5 * ratio);
    context.fillStyle = colour;
    context.fillRect(x, y, width, size + 4 * ratio);
    context.fillStyle = TL.inkOn(colour);
    context.fillText(text, x + 3 * ratio, y + size);
  }
})((window.TL = window.TL || {}));
