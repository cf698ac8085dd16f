"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const make = (tag, text, className) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  };
  const sizeText = (bytes) => {
    let unit = 0;
    let value = bytes;
    while (value >= 1023.95 && unit < 4) {
      value /= 1024;
      unit += 1;
    }
    return unit === 0 ? `${bytes} B` : `${value.toFixed(1)} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
  };
  const counted = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;
  const shareText = (part, whole) => {
    const share = whole ? (part * 100) / whole : 0;
    return share < 0.1 ? "< 0.1 %" : `${share.toFixed(1)} %`;
  };

  // A node is [name, size, layer] for a file, [name, size, files, within] for a group, [size, files] for what is small.
  const node = (number) => {
    const raw = data.nodes[number];
    if (raw.length === 2) return { name: `${counted(raw[1], "smaller file")}`, size: raw[0], files: raw[1], kind: "rest", within: [] };
    if (raw.length === 3) return { name: raw[0], size: raw[1], files: 1, layer: raw[2], kind: "file", within: [] };
    return { name: raw[0], size: raw[1], files: raw[2], kind: "group", within: raw[3] };
  };
  const colours = { "Debian packages": "debian", "Python packages": "python" };

  let platform = 0;
  let image = 0;
  // The nodes that were gone into, from all files of the image on.
  let path = [];

  const here = () => data.platforms[platform];
  const layerName = (layer) => (layer >= 0 ? here().layers[layer] : "");
  const colour = (trail) => (trail.length > 1 ? colours[node(trail[1]).name] || "other" : "other");

  // Squarified rectangles (Bruls, Huizing, van Wijk) for sizes in falling order.
  const squarify = (sizes, box) => {
    const placed = [];
    const total = sizes.reduce((sum, size) => sum + size, 0);
    if (!total || box.w <= 0 || box.h <= 0) return placed;
    const scale = (box.w * box.h) / total;
    let { x, y, w, h } = box;
    let start = 0;
    while (start < sizes.length) {
      const side = Math.min(w, h);
      const worst = (sum, least, most) => Math.max((side * side * most) / (sum * sum), (sum * sum) / (side * side * least));
      let end = start;
      let sum = 0;
      let ratio = Infinity;
      while (end < sizes.length) {
        const area = sizes[end] * scale;
        const next = worst(sum + area, area, sizes[start] * scale);
        if (end > start && next > ratio) break;
        ratio = next;
        sum += area;
        end += 1;
      }
      const depth = side > 0 ? sum / side : 0;
      let at = 0;
      for (; start < end; start += 1) {
        const length = depth > 0 ? (sizes[start] * scale) / depth : 0;
        placed.push(w >= h ? { x, y: y + at, w: depth, h: length } : { x: x + at, y, w: length, h: depth });
        at += length;
      }
      if (w >= h) {
        x += depth;
        w -= depth;
      } else {
        y += depth;
        h -= depth;
      }
    }
    return placed;
  };

  const HEADER = 20;
  const DEEPEST = 4;
  let tiles = [];

  // A trail that goes on as long as there is one way only: of a package whose files are all below usr, that is not told.
  const partsOf = (number) => node(number).within.filter((part) => node(part).size > 0);
  const through = (trail) => {
    const within = partsOf(trail[trail.length - 1]);
    return within.length === 1 && node(within[0]).kind === "group" ? through([...trail, within[0]]) : trail;
  };

  // Lays out what is in the last node of the trail, and what is in that where there is room.
  const layOut = (start, box, depth, found) => {
    const trail = through(start);
    const parts = partsOf(trail[trail.length - 1]).map((number) => ({ number, it: node(number) }));
    parts.sort((a, b) => b.it.size - a.it.size);
    const boxes = squarify(parts.map((part) => part.it.size), box);
    boxes.forEach((place, index) => {
      if (place.w < 3 || place.h < 3) return;
      const { number, it } = parts[index];
      const below = [...trail, number];
      const inner = { x: place.x + 3, y: place.y + HEADER, w: place.w - 6, h: place.h - HEADER - 3 };
      const open = it.kind === "group" && depth < DEEPEST && inner.w > 56 && inner.h > 34;
      found.push({ trail: below, it, place, open });
      if (open) layOut(below, inner, depth + 1, found);
    });
  };

  const describe = (tile) => {
    const whole = node(path[0]).size;
    const where = tile.trail.slice(1).map((number) => node(number).name).join(" / ");
    const what = { file: "file", rest: "put together", group: counted(tile.it.files, "file") }[tile.it.kind];
    const layer = tile.it.kind === "file" ? layerName(tile.it.layer) : "";
    const told = `${where}: ${sizeText(tile.it.size)}, ${shareText(tile.it.size, whole)} of the image, ${what}`;
    return layer ? `${told}, in layer ${layer}` : told;
  };

  const draw = (focus) => {
    const field = $("tiles");
    const { clientWidth: width, clientHeight: height } = field;
    if (!width || !height) return;
    const found = [];
    layOut(path, { x: 0, y: 0, w: width, h: height }, 1, found);
    const whole = node(path[0]).size;
    tiles = found.map(({ trail, it, place, open }) => {
      const element = make("button", undefined, `tile ${colour(trail)} ${it.kind}${open ? " open" : ""}`);
      element.type = "button";
      element.tabIndex = -1;
      if (it.kind !== "group") element.classList.add("leaf");
      element.style.left = `${(place.x * 100) / width}%`;
      element.style.top = `${(place.y * 100) / height}%`;
      element.style.width = `${(place.w * 100) / width}%`;
      element.style.height = `${(place.h * 100) / height}%`;
      element.setAttribute("aria-label", `${it.name}, ${sizeText(it.size)}, ${shareText(it.size, whole)}${it.kind === "group" ? ", opens" : ""}`);
      if (place.w > 34 && place.h > 17) {
        element.classList.add("named");
        element.append(make("b", it.name));
        if (open ? place.w > 130 : place.h > 36) element.append(make("i", sizeText(it.size)));
      }
      return { element, trail, it, place, open };
    });
    field.replaceChildren(...tiles.map((tile) => tile.element));
    drawPath();
    drawParts();
    const wanted = tiles.find((tile) => tile.trail[tile.trail.length - 1] === focus) || tiles[0];
    if (wanted) wanted.element.tabIndex = 0;
    if (focus !== undefined && wanted) wanted.element.focus({ preventScroll: true });
    else tell(undefined);
  };

  const tell = (tile) => {
    const whole = node(path[path.length - 1]);
    $("map-told").textContent = tile ? describe(tile) : `${whole.name}: ${sizeText(whole.size)} in ${counted(whole.files, "file")}`;
  };

  const drawPath = () => {
    const buttons = path.map((number, depth) => {
      const button = make("button", node(number).name);
      button.type = "button";
      if (depth === path.length - 1) button.setAttribute("aria-current", "location");
      button.addEventListener("click", () => go(path.slice(0, depth + 1), path[depth + 1] ?? null));
      return button;
    });
    $("map-path").replaceChildren(...buttons);
  };

  const drawParts = () => {
    const trail = path;
    const whole = node(path[path.length - 1]);
    const rows = [...whole.within]
      .sort((a, b) => node(b).size - node(a).size)
      .slice(0, 12)
      .map((number) => {
        const it = node(number);
        const row = make("tr");
        const name = make("th");
        name.scope = "row";
        if (it.kind === "group") {
          const button = make("button", it.name);
          button.type = "button";
          button.addEventListener("click", () => go([...trail, number], null));
          name.append(button);
        } else {
          name.textContent = it.name;
        }
        const layer = it.kind === "file" ? layerName(it.layer) : it.kind === "group" ? counted(it.files, "file") : "";
        row.append(name, make("td", sizeText(it.size), "number"), make("td", shareText(it.size, whole.size), "number"), make("td", layer));
        return row;
      });
    $("map-parts").tBodies[0].replaceChildren(...rows);
  };

  // Goes to a node; `focus` is the tile that then has the focus: none where it is undefined, the first where it is null.
  const go = (trail, focus) => {
    path = through(trail);
    draw(focus);
  };
  const open = (tile) => {
    if (tile.it.kind === "group") go(tile.trail, null);
    else tell(tile);
  };
  const up = () => {
    let depth = path.length - 1;
    while (depth > 0 && partsOf(path[depth - 1]).length === 1) depth -= 1;
    if (depth > 0) go(path.slice(0, depth), path[depth]);
  };

  // The tile that is nearest in a direction; what is open is where its name is.
  const neighbour = (from, dx, dy) => {
    const centre = ({ place, open: isOpen }) => [place.x + place.w / 2, isOpen ? place.y + HEADER / 2 : place.y + place.h / 2];
    const [x, y] = centre(from);
    let best;
    let least = Infinity;
    for (const tile of tiles) {
      const [tx, ty] = centre(tile);
      const along = (tx - x) * dx + (ty - y) * dy;
      const across = Math.abs((tx - x) * dy) + Math.abs((ty - y) * dx);
      const distance = along + 2 * across;
      if (tile !== from && along > 1 && distance < least) {
        least = distance;
        best = tile;
      }
    }
    return best;
  };

  const tileOf = (target) => tiles.find((tile) => tile.element === target.closest(".tile"));
  const listen = () => {
    const field = $("tiles");
    field.addEventListener("click", (event) => {
      const tile = tileOf(event.target);
      if (tile) open(tile);
    });
    field.addEventListener("pointerover", (event) => {
      const tile = tileOf(event.target);
      if (tile) tell(tile);
    });
    field.addEventListener("focusin", (event) => {
      const tile = tileOf(event.target);
      if (!tile) return;
      for (const other of tiles) other.element.tabIndex = other === tile ? 0 : -1;
      tell(tile);
    });
    $("map").addEventListener("keydown", (event) => {
      if (event.key === "Escape" && event.target.tagName !== "SELECT") {
        event.preventDefault();
        up();
      }
    });
    field.addEventListener("keydown", (event) => {
      const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      const tile = tileOf(event.target);
      if (!tile) return;
      let next;
      if (ways[event.key]) next = neighbour(tile, ...ways[event.key]);
      else if (event.key === "Home") next = tiles[0];
      else if (event.key === "End") next = tiles[tiles.length - 1];
      else return;
      event.preventDefault();
      if (next) next.element.focus({ preventScroll: true });
    });
    $("map-image").addEventListener("change", (event) => {
      image = Number(event.target.value);
      go([here().images[image][1]], undefined);
    });
    let drawn = 0;
    new ResizeObserver(() => {
      if (field.clientWidth !== drawn) {
        drawn = field.clientWidth;
        draw(undefined);
      }
    }).observe(field);
  };

  const choose = (number) => {
    platform = number;
    for (const part of document.querySelectorAll("[data-platform]")) part.hidden = Number(part.dataset.platform) !== number;
    const options = here().images.map(([name], index) => {
      const option = make("option", name);
      option.value = String(index);
      return option;
    });
    image = Math.min(image, options.length - 1);
    $("map-image").replaceChildren(...options);
    $("map-image").value = String(image);
    go([here().images[image][1]], undefined);
  };

  const filters = () => {
    for (const form of document.querySelectorAll("form.filter")) {
      const [text, kind, told] = [form.querySelector("input"), form.querySelector("select"), form.querySelector("output")];
      const rows = [...form.nextElementSibling.querySelectorAll("tbody tr")];
      const hay = rows.map((row) => `${row.textContent} ${row.lastElementChild.title}`.toLowerCase());
      const apply = () => {
        const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
        let shown = 0;
        rows.forEach((row, index) => {
          const fits = (!kind.value || row.dataset.kind === kind.value) && words.every((word) => hay[index].includes(word));
          row.hidden = !fits;
          shown += fits ? 1 : 0;
        });
        told.textContent = shown === rows.length ? counted(shown, "package") : `${shown} of ${counted(rows.length, "package")}`;
      };
      form.addEventListener("input", apply);
      form.addEventListener("submit", (event) => event.preventDefault());
      form.hidden = false;
      apply();
    }
  };

  const sorting = () => {
    for (const table of document.querySelectorAll("table.sortable")) {
      const heads = [...table.tHead.rows[0].cells];
      heads.forEach((head, column) => {
        const button = make("button", head.textContent);
        button.type = "button";
        head.replaceChildren(button);
        button.addEventListener("click", () => {
          const isNumber = head.classList.contains("number");
          const now = head.getAttribute("aria-sort");
          const order = now ? (now === "ascending" ? "descending" : "ascending") : isNumber ? "descending" : "ascending";
          for (const other of heads) other.removeAttribute("aria-sort");
          head.setAttribute("aria-sort", order);
          const value = (row) => (isNumber ? Number(row.cells[column].dataset.value) : row.cells[column].textContent);
          const compare = (a, b) => (isNumber ? value(a) - value(b) : value(a).localeCompare(value(b), "en", { numeric: true }));
          const rows = [...table.tBodies[0].rows].sort((a, b) => (order === "ascending" ? compare(a, b) : compare(b, a)));
          table.tBodies[0].append(...rows);
        });
      });
    }
  };

  for (const heading of document.querySelectorAll("h3.platform")) heading.hidden = true;
  filters();
  sorting();
  if (data.platforms.length > 0) {
    $("map").hidden = false;
    listen();
    choose(0);
    const platforms = $("platforms");
    if (platforms) {
      platforms.hidden = false;
      platforms.addEventListener("change", (event) => choose(Number(event.target.value)));
      const checked = platforms.querySelector("input:checked");
      if (checked && checked.value !== "0") choose(Number(checked.value));
    }
  }
  window.addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details")) part.open = true;
  });
})();
