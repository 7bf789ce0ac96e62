// The state in the bar, the banner and the numbers of health.
import { byId, decimal, duration, moment, say } from "./words.js";

const STALE_S = 5;
const HOT_C = 80; // a Raspberry Pi begins to slow down here
let lostSince = null;

/** Show the health that the board sent. */
export function showHealth(health) {
  lostSince = null;
  const notes = [];
  if (health.problem) notes.push(health.problem);
  if (health.frame_age > STALE_S) notes.push(say("stale", { age: duration(health.frame_age) }));
  if (health.slowed_by.length) notes.push(say("slowed", { reasons: health.slowed_by.join(", ") }));
  for (const [sink, count] of Object.entries(health.trouble)) {
    if (count) notes.push(say("trouble", { sink, count: decimal(count) }));
  }
  showState(health.problem ? "problem" : "reading", notes.join("\n"));
  byId("framesPerSecond").textContent = decimal(health.frames_per_second, 1);
  byId("delay").textContent = health.delay === null ? "–" : decimal(health.delay * 1000, 0, " ms");
  byId("celsius").textContent = decimal(health.celsius, 0, " °C");
  byId("dropped").textContent = decimal(health.dropped);
  byId("reconnects").textContent = decimal(health.reconnects);
  byId("celsius").parentElement.classList.toggle("warm", health.celsius >= HOT_C || health.slowed_by.length > 0);
}

/** Show that nothing comes from the board. `heard`: when something came last, in milliseconds since the epoch. */
export function showLost(kind, heard) {
  lostSince ??= heard;
  const key = kind === "lost" ? "lostHint" : kind;
  showState("lost", say(key, { time: moment(lostSince / 1000) }));
}

function showState(kind, text) {
  document.body.dataset.state = kind;
  setText(byId("stateText"), say(kind));
  const banner = byId("banner");
  banner.hidden = text === "";
  setText(banner, text);
}

/** A screen reader announces what is set, so set only what is new. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
