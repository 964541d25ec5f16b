// Building blocks of the page. Text from files only ever becomes a text node, never markup.
(function (TL) {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "style") Object.assign(node.style, value);
      else node.setAttribute(name, value === true ? "" : String(value));
    }
    for (const child of children.flat()) {
      if (child !== null && child !== undefined) node.append(child instanceof Node ? child : String(child));
    }
    return node;
  }

  TL.el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  TL.svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

  // Replaces what a node holds; null children are left out.
  TL.refill = function (node, ...children) {
    node.replaceChildren();
    return fill(node, {}, children);
  };

  TL.number = function (value, digits) {
    if (value === null || value === undefined) return "–";
    return value.toFixed(digits).replace("-", "−");
  };

  TL.signed = (value, digits) =>
    value === null || value === undefined ? "–" : (value >= 0 ? "+" : "") + TL.number(value, digits);

  TL.COLOURS = {
    AP: "#4d4d4d",
    tracking: "#0072b2",
    classification: "#e69f00",
    segmentation: "#009e73",
    negative: "#c3423f",
  };
  TL.GAPS = ["tracking", "classification", "segmentation"];

  // Twelve hues that stay apart for colour-blind readers; every use of them also prints the query's number.
  const QUERIES = [
    "#e69f00", "#56b4e9", "#cc79a7", "#009e73", "#f0e442", "#0072b2",
    "#d55e00", "#b4a7ff", "#8fd14f", "#ff9d9a", "#17becf", "#a0785a",
  ];
  TL.queryColour = (rank) => QUERIES[rank % QUERIES.length];

  // Black or white, whichever is read more easily on a colour.
  TL.inkOn = function (colour) {
    const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16) / 255);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.45 ? "#000" : "#fff";
  };
})((window.TL = window.TL || {}));
