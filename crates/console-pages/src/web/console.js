// Updates a page that is visible, every few seconds. Without this script, reload the page.

const PAUSE = 5000;
const PATIENCE = 10000;
const main = document.querySelector("main[data-live]");
let shown = new Date();
// What the page shows will not change.
let isFinal = false;

// A reader who has selected or opened something, or uses a link of the page, must not lose it.
function isInUse() {
  const selection = document.getSelection();
  const focused = document.activeElement;
  const isControl = focused?.matches("a, button, input, summary");
  const isOpen = main.querySelector("details[open]") !== null;
  return (selection && !selection.isCollapsed) || isOpen || (isControl && main.contains(focused));
}

// Fetches the page again. Returns whether it shows how things stand now.
async function update() {
  const answer = await fetch(location.href, { redirect: "manual", signal: AbortSignal.timeout(PATIENCE) });
  // The session has ended: the page leads to the form.
  if (answer.type === "opaqueredirect") {
    location.reload();
    return true;
  }
  if (!answer.ok) return false;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelector("main");
  if (!fresh || isInUse()) return false;
  document.title = page.title;
  if (fresh.innerHTML !== main.innerHTML) main.replaceChildren(...fresh.childNodes);
  if (!("live" in fresh.dataset)) isFinal = true;
  return true;
}

const state = document.createElement("p");
state.className = "live";
const text = document.createElement("span");
text.setAttribute("role", "status");
const button = document.createElement("button");
button.className = "plain";
let paused = false;

function tell(isCurrent) {
  const at = shown.toISOString().slice(11, 19);
  const news = isCurrent ? "This page updates itself." : `Not updated since ${at} UTC.`;
  if (text.textContent !== news) text.textContent = news;
  button.textContent = paused ? "Update" : "Pause";
}

async function run() {
  const began = Date.now();
  let isCurrent = false;
  if (!paused && !document.hidden) {
    // If it fails, the gateway may be restarting. The next round tries again.
    isCurrent = await update().catch(() => false);
    if (isCurrent) shown = new Date();
  }
  if (isFinal) {
    state.remove();
    return;
  }
  tell(isCurrent);
  // A page that takes long is fetched less often. A computer that slept meanwhile has no say in it.
  const took = Math.min(Date.now() - began, PATIENCE);
  setTimeout(run, Math.max(PAUSE, 20 * took));
}

if (main) {
  button.addEventListener("click", () => {
    paused = !paused;
    tell(!paused);
  });
  state.append(text, button);
  main.after(state);
  tell(true);
  setTimeout(run, PAUSE);
}

// A bar of the picture and its line in the list light up together.
document.addEventListener("pointerover", (event) => {
  const number = event.target.closest?.("[data-step]")?.dataset.step;
  for (const lit of document.querySelectorAll(".lit")) lit.classList.remove("lit");
  if (number === undefined) return;
  const card = event.target.closest("section");
  for (const part of card.querySelectorAll(`[data-step="${number}"]`)) part.classList.add("lit");
});
