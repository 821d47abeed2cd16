// Keeps the page current: fetches it every two seconds and changes only the nodes that differ, so that scroll position,
// selection and focus stay. The server alone decides what the page shows.

const EVERY_MS = 2000;

function morph(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh.cloneNode(true));
    return;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  const [before, after] = [[...old.childNodes], [...fresh.childNodes]];
  after.forEach((node, at) => (before[at] ? morph(before[at], node) : old.append(node.cloneNode(true))));
  before.slice(after.length).forEach((node) => node.remove());
}

async function refresh() {
  const answer = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(EVERY_MS * 2) });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!fresh.getElementById("page")) throw new Error("not our page");
  document.title = fresh.title;
  document.getElementById("icon").href = fresh.getElementById("icon").href;
  morph(document.getElementById("page"), fresh.getElementById("page"));
}

async function stay() {
  if (!document.hidden) {
    try {
      await refresh();
      document.documentElement.classList.remove("stale");
    } catch {
      document.documentElement.classList.add("stale");
      document.getElementById("live").textContent = "no answer";
    }
  }
  setTimeout(stay, EVERY_MS);
}

if (location.protocol.startsWith("http")) setTimeout(stay, EVERY_MS);
