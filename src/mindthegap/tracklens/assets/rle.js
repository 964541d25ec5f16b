// Masks: COCO's compressed run lengths to outlines that a canvas can fill, stroke and dash.
(function (TL) {
  "use strict";

  // Run lengths from their compressed text: five bits per character, from the fourth on as a difference.
  TL.runs = function (text) {
    const counts = [];
    let i = 0;
    while (i < text.length) {
      let value = 0;
      let shift = 0;
      let group;
      do {
        group = text.charCodeAt(i++) - 48;
        value += (group & 31) * 2 ** shift;
        shift += 5;
      } while (group & 32);
      if (group & 16) value -= 2 ** shift;
      counts.push(counts.length > 2 ? value + counts[counts.length - 2] : value);
    }
    return counts;
  };

  // One byte per pixel, numbered column by column.
  TL.bitmap = function (text, height, width) {
    const pixels = new Uint8Array(height * width);
    let at = 0;
    TL.runs(text).forEach((count, i) => {
      if (i & 1) pixels.fill(1, at, at + count);
      at += count;
    });
    return pixels;
  };

  // Directed edges between inside and outside, by start corner; a corner may have two.
  function edges(pixels, height, width) {
    const next = new Map();
    const row = width + 1;
    const add = (from, to) => {
      const known = next.get(from);
      if (known === undefined) next.set(from, [to]);
      else known.push(to);
    };
    for (let x = 0; x < width; x++) {
      for (let y = 0; y < height; y++) {
        const at = x * height + y;
        if (!pixels[at]) continue;
        const corner = y * row + x;
        if (y === 0 || !pixels[at - 1]) add(corner, corner + 1);
        if (x === width - 1 || !pixels[at + height]) add(corner + 1, corner + 1 + row);
        if (y === height - 1 || !pixels[at + 1]) add(corner + 1 + row, corner + row);
        if (x === 0 || !pixels[at - height]) add(corner + row, corner);
      }
    }
    return next;
  }

  // Closed outlines as lists of [x, y] corners, straight runs merged.
  TL.outlines = function (pixels, height, width) {
    const next = edges(pixels, height, width);
    const row = width + 1;
    const found = [];
    for (const start of next.keys()) {
      while (next.get(start)?.length) {
        const outline = [];
        let at = start;
        let direction = 0;
        do {
          const to = next.get(at).pop();
          if (to - at !== direction) outline.push([at % row, Math.floor(at / row)]);
          direction = to - at;
          at = to;
        } while (at !== start);
        found.push(outline);
      }
    }
    return found;
  };

  const paths = new Map();
  const KEPT = 600;

  // Outline of a mask as a Path2D in mask pixels, and where its label goes; remembered by key.
  TL.shape = function (key, text, height, width) {
    let shape = paths.get(key);
    if (shape) paths.delete(key);
    else shape = trace(text, height, width);
    paths.set(key, shape);
    if (paths.size > KEPT) paths.delete(paths.keys().next().value);
    return shape;
  };

  function trace(text, height, width) {
    const path = new Path2D();
    let top = [0, Infinity];
    const box = [Infinity, Infinity, -Infinity, -Infinity]; // left, top, right, bottom
    for (const outline of TL.outlines(TL.bitmap(text, height, width), height, width)) {
      outline.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
      path.closePath();
      for (const [x, y] of outline) {
        if (y < top[1]) top = [x, y];
        box[0] = Math.min(box[0], x);
        box[1] = Math.min(box[1], y);
        box[2] = Math.max(box[2], x);
        box[3] = Math.max(box[3], y);
      }
    }
    return { path, top, box };
  }
})((window.TL = window.TL || {}));
