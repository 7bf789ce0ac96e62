// The live image, which is loaded only while it can be seen, and the readings over it.
import { byId, say } from "./words.js";

const AGAIN_MS = 10_000;
const WIDTH = 1600; // of the overlay, whose units have the same size in both directions
const image = byId("live");
const overlay = byId("overlay");
const pause = byId("pause");
const readings = svg("g", { class: "readings" });
let aspect = 16 / 9;
let isPaused = false;
let hasFrames = false;

/** Return an element of SVG with attributes. */
export function svg(tag, attributes = {}) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** Return points in shares of the frame as units of the overlay, and the other way round. */
export const toOverlay = ([x, y]) => [x * WIDTH, (y * WIDTH) / aspect];
export const coordinates = (points) => points.map((point) => toOverlay(point).map((v) => v.toFixed(1)).join(",")).join(" ");

/** Show what was read in the newest frame. */
export function showReadings(live) {
  if (!hasFrames || Math.abs(live.aspect - aspect) > 0.001) {
    aspect = live.aspect;
    byId("figure").style.aspectRatio = aspect;
    overlay.setAttribute("viewBox", `0 0 ${WIDTH} ${Math.round(WIDTH / aspect)}`);
    overlay.dispatchEvent(new Event("resized"));
  }
  if (!hasFrames) {
    hasFrames = true;
    load();
  }
  readings.replaceChildren(
    ...live.sightings.flatMap(({ text, points, accepted }) => {
      const [x] = toOverlay(points[0]);
      const top = Math.min(...points.map((point) => toOverlay(point)[1]));
      const caption = svg("text", { x, y: Math.max(44, top - 14) });
      caption.textContent = text;
      return [svg("polygon", { points: coordinates(points), class: accepted ? "" : "rejected" }), caption];
    }),
  );
}

function load() {
  const isWanted = hasFrames && !isPaused && !document.hidden;
  if (isWanted && !image.hasAttribute("src")) image.src = `/live.mjpeg?${Date.now()}`;
  if (!isWanted) image.removeAttribute("src"); // ends the connection
  image.hidden = !isWanted;
  readings.setAttribute("visibility", isWanted ? "visible" : "hidden");
  byId("figure").classList.toggle("blank", !hasFrames);
  const note = byId("noImage");
  note.hidden = isWanted;
  note.textContent = hasFrames ? say("paused") : say("waitingForImage");
}

image.addEventListener("error", () => {
  if (!image.hasAttribute("src")) return;
  image.removeAttribute("src");
  image.hidden = true;
  byId("noImage").hidden = false;
  byId("noImage").textContent = say("noLive");
  setTimeout(load, AGAIN_MS);
});
pause.addEventListener("click", () => {
  isPaused = !isPaused;
  pause.setAttribute("aria-pressed", String(isPaused));
  load();
});
document.addEventListener("visibilitychange", load);
overlay.append(readings);
