// Keeps the page as the server would draw it now: on each event it fetches the page again and changes what differs.
// Without it every form still works; with it nothing reloads, counts run and times are the reader's own.

const main = document.getElementById("main");
const language = document.documentElement.lang;
const clock = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const RETRY_MS = 3000;
const PATIENCE_MS = 15000;

// --- making this page equal to another drawing of it, while focus, typing and open parts stay

const KEEP = { INPUT: ["value"], DETAILS: ["open"] };

function alike(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");
}

function become(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.nodeName === "TIME" && old.dateTime === fresh.dateTime) return; // the text is ours
  const keep = KEEP[old.nodeName] ?? [];
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !keep.includes(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value && !keep.includes(name)) old.setAttribute(name, value);
  }
  becomeChildren(old, fresh);
}

function becomeChildren(old, fresh) {
  let at = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    let match = at;
    if (wanted.id) while (match && match.id !== wanted.id) match = match.nextSibling;
    if (match && alike(match, wanted)) {
      while (at !== match) at = drop(at);
      become(match, wanted);
      at = match.nextSibling;
    } else {
      old.insertBefore(document.importNode(wanted, true), at);
    }
  }
  while (at) at = drop(at);
}

function drop(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

// --- fetching

let line = Promise.resolve();
let waiting = null;

/** One after another: of two answers under way at once the older could be drawn last, and stay. */
function queue(job) {
  const done = line.then(job);
  line = done.catch(() => {});
  return done;
}

/** Draw the page as it is now; asked several times before its turn comes, it fetches once. */
function refresh() {
  waiting ??= queue(() => {
    waiting = null;
    return load(main.dataset.page, {});
  });
  return waiting;
}

async function load(address, options) {
  let reply, text;
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    reply = await fetch(address, { ...options, signal, headers: { Accept: "text/html" }, credentials: "same-origin" });
    text = await reply.text();
  } catch {
    return trouble(true);
  }
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const drawn = fresh.getElementById("main");
  if (!drawn || !("events" in drawn.dataset)) {
    // Signed out, or out of order: the reader sees what the server says about it.
    if (![401, 403, 404].includes(reply.status)) return trouble(true);
    return location.assign(main.dataset.page);
  }
  const before = landmark();
  if (options.method !== "POST") keepRefusal(drawn);
  trouble(false);
  document.title = fresh.title;
  become(main, drawn);
  tick();
  follow(before);
}

/** The server draws a refusal only in its answer to a form: news must not wipe it away before it was read. */
function keepRefusal(drawn) {
  const said = [...main.querySelectorAll("[data-refusal]")].filter((place) => place.childElementCount);
  const lifts = said.map((place) => place.querySelector("time[data-countdown]")?.dateTime).find(Boolean);
  if (drawn.querySelector("#call") || (lifts && new Date(lifts) <= Date.now())) return;
  for (const place of said) {
    const fresh = drawn.querySelector(`#${place.id}`);
    if (place.id === "refusal" && drawn.querySelector("#revalidate-hindered")) continue; // it says so by itself
    fresh?.replaceChildren(...place.cloneNode(true).childNodes);
    if (place.id !== "number-refusal") continue;
    drawn.querySelector("#bind-hindered")?.remove();
    const field = drawn.querySelector("#number");
    for (const name of ["aria-invalid", "aria-describedby"]) {
      field.setAttribute(name, document.getElementById("number").getAttribute(name));
    }
  }
}

function trouble(there) {
  const line = document.getElementById("trouble");
  const text = there ? main.dataset.broken : "";
  if (line.textContent !== text) line.textContent = text;
  line.hidden = !there;
  if (there) setTimeout(refresh, RETRY_MS);
}

/** What the reader is looking at: a call, the end of one, or nothing of both. */
function landmark() {
  if (document.getElementById("call")) return "call";
  return document.getElementById("ending") ? "ending" : "";
}

/** Move the focus to what has come, if its place has gone. */
function follow(before) {
  const now = landmark();
  const lost = document.activeElement === document.body || document.activeElement?.disabled;
  if (now === before || !lost) return;
  const heading = { call: "code-heading", ending: "ending-heading" }[now];
  if (heading) document.getElementById(heading).focus({ preventScroll: false });
}

// --- what the reader does

const sending = new WeakSet();

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!main.contains(form) || form.method !== "post") return;
  event.preventDefault();
  if (sending.has(form)) return; // pressed twice
  sending.add(form);
  form.closest("[popover]")?.hidePopover?.();
  const typed = document.getElementById("number")?.value;
  const body = new URLSearchParams(new FormData(form));
  await queue(() => load(form.action, { method: "POST", body }));
  sending.delete(form);
  const field = document.getElementById("number");
  if ((form.id === "bind" || form.id === "bind-now") && field) {
    if (field.ariaInvalid === "true") field.focus();
    else if (field.value === typed) field.value = "";
  }
});

// A question begins at its harmless answer. (The attribute autofocus would act at every load in a portal's frame.)
document.addEventListener(
  "toggle",
  (event) => {
    if (event.newState === "open") event.target.querySelector("[popovertargetaction=hide]")?.focus();
  },
  true,
);

// --- what the server tells

function listen() {
  const source = new EventSource(main.dataset.events);
  // Both are also the first words of every stream: after a loss nothing is missed.
  source.addEventListener("binding", refresh);
  source.addEventListener("signed_out", refresh); // what is on the screen is not for whoever sits there now
  source.addEventListener("attempt", (event) => {
    if (!countDigits(JSON.parse(event.data))) refresh();
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(() => refresh().then(listen), RETRY_MS);
  });
  addEventListener("pagehide", () => source.close(), { once: true });
}

/** Show how many digits were heard, which may change several times a second; false for any other step of the call. */
function countDigits({ id, state, digits }) {
  const { attempt, step, saysDigits } = document.getElementById("call")?.dataset ?? {};
  if (attempt !== id || state !== "answered" || step !== "digits" || !digits) return false;
  const dots = document.querySelectorAll("#dots .dot");
  dots.forEach((dot, at) => dot.classList.toggle("filled", at < digits));
  document.getElementById("word").textContent = saysDigits.replace("{count}", digits);
  return true;
}

addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// --- time

function left(seconds) {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (!parts[0]) parts.shift();
  return parts.map((part, at) => (at ? String(part).padStart(2, "0") : part)).join(":");
}

const due = new Set();

function tick() {
  for (const time of document.querySelectorAll("time[data-local]")) {
    const text = clock.format(new Date(time.dateTime));
    if (time.textContent !== text) time.textContent = text;
  }
  for (const time of document.querySelectorAll("time[data-countdown]")) {
    const seconds = Math.max(0, Math.ceil((new Date(time.dateTime) - Date.now()) / 1000));
    time.textContent = left(seconds);
    if (!seconds) once(time.dateTime);
  }
  const hides = document.getElementById("call")?.dataset.hides;
  if (hides && new Date(hides) < Date.now()) once(hides);
}

/** Ask the server again when a time has come, once for each. */
function once(moment) {
  if (due.has(moment)) return;
  due.add(moment);
  setTimeout(refresh, 1000);
}

if (main?.dataset.events) {
  tick();
  setInterval(tick, 1000);
  // That a call waits for a free line is news of the clock alone, so no event brings it.
  setInterval(() => document.getElementById("call")?.dataset.step === "queued" && refresh(), RETRY_MS);
  listen();
}
