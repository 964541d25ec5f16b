// Loads data files. A page opened from disk may not fetch, so every data file is a script that calls TL.put.
(function (TL) {
  "use strict";

  const KEPT = 40; // data files kept in memory; the oldest go first
  const waiting = new Map(); // key -> {resolve, reject}
  const cache = new Map(); // key -> Promise, in order of last use

  async function gunzip(base64) {
    if (typeof DecompressionStream === "undefined") {
      throw new Error("This browser is too old to unpack the page's data; please use one from 2023 or later.");
    }
    const packed = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  // Called by the data files.
  TL.put = function (key, base64) {
    const entry = waiting.get(key);
    if (!entry) return;
    waiting.delete(key);
    gunzip(base64).then(entry.resolve, entry.reject);
  };

  function request(key) {
    return new Promise((resolve, reject) => {
      waiting.set(key, { resolve, reject });
      const script = document.createElement("script");
      const fail = (what) => () => {
        if (!waiting.delete(key)) return;
        reject(new Error(`data/${key}.js ${what}: build the page again.`));
      };
      script.src = `data/${key}.js`;
      script.addEventListener("error", fail("is missing from the page's folder"));
      script.addEventListener("load", fail("is damaged"));
      script.addEventListener("load", () => script.remove());
      document.head.append(script);
    });
  }

  // A promise of the data file's value; asked for again, it comes from memory.
  TL.load = function (key) {
    let promise = cache.get(key);
    if (promise) {
      cache.delete(key);
    } else {
      promise = request(key);
      promise.catch(() => cache.delete(key));
    }
    cache.set(key, promise);
    if (cache.size > KEPT) cache.delete(cache.keys().next().value);
    return promise;
  };
})((window.TL = window.TL || {}));
