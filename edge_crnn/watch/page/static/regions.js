// The regions over the live image, and their editor for mouse and keyboard.
import { coordinates, svg, toOverlay } from "./live.js";
import { byId, say } from "./words.js";

const MOST_CORNERS = 32;
const MOST_REGIONS = 16;
const STEP = 0.01;
const FINE = 0.002;
const SQUARE = [[0.25, 0.35], [0.75, 0.35], [0.75, 0.85], [0.25, 0.85]];

const overlay = byId("overlay");
const editor = byId("editor");
const choice = byId("regionChoice");
const field = byId("regionName");
const layer = svg("g", { class: "regions" });
let saved = [];
let regions = [];
let selected = 0;
let isEditing = false;

async function load() {
  const response = await fetch("/api/regions");
  if (!response.ok) return;
  saved = (await response.json()).regions;
  if (!isEditing) reset();
}

function reset() {
  regions = structuredClone(saved);
  selected = 0;
  render();
}

function render() {
  layer.replaceChildren(...regions.flatMap(shapes));
  if (isEditing && regions[selected]) layer.append(...midpoints(regions[selected]), ...corners(regions[selected]));
}

function shapes({ name, points }, place) {
  const isSelected = isEditing && place === selected;
  const polygon = svg("polygon", { points: coordinates(points), class: isSelected ? "selected" : "" });
  if (isEditing) polygon.addEventListener("pointerdown", () => select(place));
  const [x, y] = toOverlay(points[0]);
  const caption = svg("text", { x: x + 14, y: y + 40 });
  caption.textContent = name;
  return [polygon, caption];
}

function corners({ name, points }) {
  return points.map(([x, y], place) => {
    const [cx, cy] = toOverlay(points[place]);
    const label = say("cornerLabel", {
      region: name, number: place + 1, count: points.length, x: Math.round(x * 100), y: Math.round(y * 100),
    });
    const made = svg("circle", { cx, cy, r: 16, class: "corner", tabindex: 0, role: "button", "aria-label": label });
    made.addEventListener("keydown", (event) => onCornerKey(event, place));
    made.addEventListener("pointerdown", (event) => drag(event, place));
    return made;
  });
}

function midpoints({ name, points }) {
  return points.map((point, place) => {
    const next = points[(place + 1) % points.length];
    const middle = [(point[0] + next[0]) / 2, (point[1] + next[1]) / 2];
    const [cx, cy] = toOverlay(middle);
    const label = say("midpointLabel", { region: name, number: place + 1 });
    const made = svg("circle", { cx, cy, r: 10, class: "midpoint", tabindex: 0, role: "button", "aria-label": label });
    made.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      if (insert(place + 1, middle)) focusCorner(place + 1);
    });
    made.addEventListener("pointerdown", (event) => {
      if (insert(place + 1, middle)) drag(event, place + 1);
    });
    return made;
  });
}

function insert(place, point) {
  const { points } = regions[selected];
  if (points.length >= MOST_CORNERS) {
    note(say("tooManyCorners"));
    return false;
  }
  points.splice(place, 0, point);
  render();
  return true;
}

function onCornerKey(event, place) {
  const { points } = regions[selected];
  const step = event.shiftKey ? FINE : STEP;
  const way = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
  if (way) {
    move(place, [points[place][0] + way[0], points[place][1] + way[1]]);
    focusCorner(place);
  } else if (event.key === "Delete" || event.key === "Backspace") {
    if (points.length > 3) {
      points.splice(place, 1);
      render();
      focusCorner(Math.min(place, points.length - 1));
    } else note(say("tooFewCorners"));
  } else return;
  event.preventDefault();
}

function move(place, point) {
  regions[selected].points[place] = point.map((v) => Math.round(Math.min(1, Math.max(0, v)) * 10_000) / 10_000);
  render();
}

function focusCorner(place) {
  layer.querySelectorAll(".corner")[place]?.focus();
}

function drag(event, place) {
  event.preventDefault();
  focusCorner(place);
  overlay.setPointerCapture(event.pointerId);
  const box = overlay.getBoundingClientRect();
  const follow = ({ clientX, clientY }) => move(place, [(clientX - box.left) / box.width, (clientY - box.top) / box.height]);
  const stop = () => {
    overlay.removeEventListener("pointermove", follow);
    focusCorner(place);
  };
  overlay.addEventListener("pointermove", follow);
  overlay.addEventListener("lostpointercapture", stop, { once: true });
}

function select(place) {
  selected = place;
  render();
  fill();
}

function fill() {
  choice.replaceChildren(...regions.map(({ name }, place) => new Option(name, place, false, place === selected)));
  const region = regions[selected];
  field.value = region?.name ?? "";
  for (const control of [choice, field, byId("regionRemove")]) control.disabled = !region;
  byId("regionAdd").disabled = regions.length >= MOST_REGIONS;
  note(region || !isEditing ? "" : say("noRegions"));
}

function note(text) {
  byId("editorState").textContent = text;
}

function setEditing(value) {
  isEditing = value;
  editor.hidden = !value;
  overlay.classList.toggle("editing", value);
  if (value) overlay.removeAttribute("aria-hidden");
  else overlay.setAttribute("aria-hidden", "true");
  byId("edit").setAttribute("aria-expanded", String(value));
  reset();
  fill();
  if (value) (regions.length ? choice : byId("regionAdd")).focus();
  else byId("edit").focus();
}

async function save(event) {
  event.preventDefault();
  note(say("saving"));
  let response;
  try {
    response = await fetch("/api/regions", {
      method: "PUT",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ regions }),
    });
  } catch {
    note(say("notSaved", { reason: say("noAnswer") }));
    return;
  }
  const answer = await response.json().catch(() => ({ error: response.statusText }));
  if (response.ok) {
    saved = answer.regions;
    setEditing(false);
    note(say("saved"));
  } else note(say("notSaved", { reason: answer.error }));
}

function addRegion() {
  const names = new Set(regions.map(({ name }) => name));
  let number = 1;
  while (names.has(say("newRegion", { number }))) number += 1;
  regions.push({ name: say("newRegion", { number }), points: structuredClone(SQUARE) });
  select(regions.length - 1);
  field.select();
}

byId("edit").hidden = document.documentElement.dataset.editable !== "yes";
byId("edit").addEventListener("click", () => setEditing(!isEditing));
byId("cancel").addEventListener("click", () => setEditing(false));
byId("regionAdd").addEventListener("click", addRegion);
byId("regionRemove").addEventListener("click", () => {
  regions.splice(selected, 1);
  select(Math.max(0, selected - 1));
});
choice.addEventListener("change", () => select(Number(choice.value)));
field.addEventListener("input", () => {
  regions[selected].name = field.value;
  choice.options[selected].text = field.value;
  render();
});
editor.addEventListener("submit", save);
for (const place of [editor, overlay]) {
  place.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && isEditing) setEditing(false);
  });
}
overlay.addEventListener("resized", render);
overlay.prepend(layer);
load();
