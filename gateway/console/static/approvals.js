/* The inbox of approvals: it is live, goes by keys, and sends verdicts to the admin API.

   A verdict is for what is shown at the side, and for nothing else: the queue may change its order at any time, what is
   at the side changes only when somebody chooses, and keys are heard a moment after it has come to stand there. */
"use strict";

(() => {
  const ARMED = 300; /* Milliseconds after which a verdict can be for what has just been opened. */
  const KEY = "toolgate-session-key";
  const inbox = document.getElementById("inbox");
  const queue = document.getElementById("queue");
  const beside = document.getElementById("beside");
  const wide = matchMedia("(min-width: 62rem)");
  const title = document.title.replace(/^\(.*?\) /, "");
  let shownAt = performance.now();
  let choices = 0;
  let busy = false;
  let stale = false;
  let newest = Number(queue?.firstElementChild?.dataset.newest || 0);

  /* Who decides, as they say themselves: there where the gateway cannot know, which is on its own machine only. */
  const by = document.getElementById("by");
  const named = () => (by?.value.trim() ? { by: by.value.trim() } : {});
  const part = (id, more = {}) => `/parts/approval?${new URLSearchParams({ id, ...more, ...named() })}`;

  const article = () => beside.querySelector("article");
  const verbs = () => document.getElementById("verbs");
  const openForm = () => beside.querySelector("form.verb:not([hidden])");
  const cards = () => [...document.querySelectorAll("a.card")];
  const at = (id) => cards().find((card) => card.dataset.card === id);

  /* -- what is shown --------------------------------------------------------------------------------------------- */

  function short(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
    const minutes = Math.floor(whole / 60);
    return minutes < 2880 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.floor(minutes / 1440)} d`;
  }

  function countDown() {
    const now = Date.now() / 1000;
    for (const element of document.querySelectorAll("[data-until]")) {
      const left = Number(element.dataset.until) - now;
      element.textContent = left > 0 ? short(left) : "over";
      element.classList.toggle("soon", left < 60);
    }
    for (const element of document.querySelectorAll("[data-since]")) {
      element.textContent = short(now - Number(element.dataset.since));
    }
  }

  function mark() {
    const id = article()?.dataset.id;
    for (const card of cards()) {
      if (card.dataset.card === id) card.setAttribute("aria-current", "true");
      else card.removeAttribute("aria-current");
    }
  }

  async function fetched(address) {
    const answer = await fetch(address, { credentials: "same-origin" });
    if (answer.redirected) location.reload(); /* The session has ended. */
    return answer.ok ? answer.text() : null;
  }

  function put(element, html) {
    element.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
    document.dispatchEvent(new CustomEvent("toolgate:shown"));
    countDown();
  }

  /* ``quiet``: the same anew; it gives way to whatever somebody has chosen meanwhile. */
  async function show(id, alike, quiet) {
    const mine = quiet ? choices : ++choices;
    const html = await fetched(part(id, alike ? { alike: 1 } : {}));
    if (mine !== choices || (quiet && article()?.dataset.id !== id)) return;
    put(beside, html ?? '<div class="nobody"><p><strong>It is not there any more.</strong></p></div>');
    if (!quiet) {
      shownAt = performance.now();
      beside.scrollTop = 0;
      if (!wide.matches) beside.scrollIntoView({ block: "start" });
    }
    stale = false;
    if (inbox) {
      const address = new URL(location.href);
      address.searchParams.set("at", id);
      history.replaceState(null, "", address);
    }
    mark();
  }

  const choose = (card) => show(card.dataset.card, Number(card.dataset.count) > 1);

  async function refreshQueue() {
    if (!queue) return;
    const html = await fetched(inbox.dataset.queue);
    if (html === null) return;
    const focused = document.activeElement?.dataset?.card;
    put(queue, html);
    mark();
    if (focused) at(focused)?.focus({ preventScroll: true });
    const first = cards()[0];
    if (!article() && first && wide.matches) choose(first);
  }

  /* Shows what has become of the approval at the side, but takes nothing away from whoever writes. */
  async function refreshBeside() {
    const current = article();
    if (!current || busy) return;
    if (openForm()) {
      stale = true;
      say("Something has changed about this approval since you opened it.");
      return;
    }
    if (current.dataset.alike) {
      if (current.dataset.state === "waiting") say("Some of these have been decided, or more have come. Press t twice to see them.");
      return;
    }
    const scrolled = beside.scrollTop;
    const edit = current.dataset.edit;
    await show(current.dataset.id, false, true);
    if (article()?.dataset.edit !== edit) shownAt = performance.now(); /* Other arguments: look again. */
    beside.scrollTop = scrolled;
  }

  /* Whether the agent is on the line, which no event tells. */
  async function refreshLine() {
    const current = article();
    if (document.hidden || !current || current.dataset.alike || current.dataset.state !== "waiting") return;
    const html = await fetched(part(current.dataset.id));
    if (html === null || article() !== current) return;
    const line = new DOMParser().parseFromString(html, "text/html").querySelector(".facts-line");
    if (line) current.querySelector(".facts-line").replaceWith(line);
  }

  function say(text, kind) {
    const told = beside.querySelector("output.told");
    if (!told) return;
    told.textContent = text;
    told.dataset.kind = kind || "";
  }

  function toast(text, stay = 4000) {
    let stack = document.getElementById("toasts");
    if (!stack) {
      stack = document.createElement("div");
      stack.id = "toasts";
      stack.setAttribute("role", "status");
      document.body.append(stack);
    }
    const line = document.createElement("p");
    line.textContent = text;
    stack.append(line);
    setTimeout(() => line.remove(), stay);
  }

  /* -- live -------------------------------------------------------------------------------------------------------- */

  let due = 0;
  const pending = new Set();
  let all = false;

  function heard(told) {
    document.title = told.waiting ? `(${told.waiting}) ${title}` : title;
    const count = document.getElementById("asking");
    if (count) {
      count.hidden = !told.waiting;
      count.firstChild.textContent = told.waiting.toLocaleString("en");
    }
    const counts = document.getElementById("counts");
    if (counts) counts.textContent = `${told.waiting.toLocaleString("en")} wait`;
    if (told.newest > newest) {
      newest = told.newest;
      call(told.waiting);
    }
    for (const id of told.changed) pending.add(id);
    all = all || told.more;
    if (!due) due = setTimeout(refresh, 30);
  }

  async function refresh() {
    const mine = article()?.dataset.id;
    const touched = all || pending.has(mine);
    pending.clear();
    all = false;
    await refreshQueue();
    if (mine && touched) await refreshBeside();
    due = 0;
    if (pending.size || all) due = setTimeout(refresh, 30);
  }

  const state = document.getElementById("feed-state");
  function standing(text, kind) {
    if (!state) return;
    state.textContent = text;
    state.dataset.kind = kind;
  }

  const stream = new EventSource((inbox || beside).dataset.stream);
  stream.onopen = () => standing("live", "live");
  stream.onerror = () => standing(stream.readyState === EventSource.CLOSED ? "refused; reload the page" : "away, trying again", "away");
  stream.onmessage = (event) => heard(JSON.parse(event.data));
  addEventListener("pagehide", () => stream.close());

  /* -- calling people ----------------------------------------------------------------------------------------------- */

  const notify = document.getElementById("notify");
  const sound = document.getElementById("sound");
  const wants = (name) => localStorage.getItem(name) === "1";

  function press(button, name, on) {
    localStorage.setItem(name, on ? "1" : "0");
    button.setAttribute("aria-pressed", String(on));
  }

  async function toggleNotify() {
    const on = !wants("toolgate-notify");
    if (on && (!("Notification" in window) || (await Notification.requestPermission()) !== "granted")) {
      toast("The browser does not let this page notify you; allow it in the site's settings.");
      return;
    }
    press(notify, "toolgate-notify", on);
  }

  function toggleSound() {
    press(sound, "toolgate-sound", !wants("toolgate-sound"));
    if (wants("toolgate-sound")) beep();
  }

  function beep() {
    const context = new AudioContext();
    const tone = context.createOscillator();
    const volume = context.createGain();
    tone.frequency.value = 660;
    volume.gain.setValueAtTime(0.08, context.currentTime);
    volume.gain.exponentialRampToValueAtTime(0.001, context.currentTime + 0.25);
    tone.connect(volume).connect(context.destination);
    tone.start();
    tone.stop(context.currentTime + 0.25);
    tone.onended = () => context.close();
  }

  function call(waiting) {
    if (sound && wants("toolgate-sound")) beep();
    if (!notify || !wants("toolgate-notify") || document.hasFocus() || Notification.permission !== "granted") return;
    const note = new Notification("Toolgate", { body: `${waiting} ${waiting === 1 ? "call waits" : "calls wait"} for a person`, tag: "toolgate-approvals" });
    note.onclick = () => { window.focus(); note.close(); };
  }

  if (notify) notify.setAttribute("aria-pressed", String(wants("toolgate-notify")));
  if (sound) sound.setAttribute("aria-pressed", String(wants("toolgate-sound")));

  /* -- verdicts ----------------------------------------------------------------------------------------------------- */

  async function post(address, body) {
    const headers = { "X-Toolgate-Admin": localStorage.getItem(KEY) || "1", "Content-Type": "application/json" };
    const answer = await fetch(address, { method: "POST", headers, credentials: "same-origin", body });
    const told = await answer.json();
    return { ok: answer.ok, status: answer.status, told };
  }

  const seen = () => Math.round(performance.now() - shownAt) / 1000;
  const DONE = { approve: "Approved", deny: "Denied", edit: "Approved with changes", answer: "Answered", endorse: "Approved and endorsed", ask: "Asked back", like: "Approved, and so are calls like it" };

  /* The card after this one in the queue, or before it, but for those that are decided. */
  function following(id) {
    const all = cards();
    const here = all.findIndex((card) => card.dataset.card === id);
    return (all[here + 1] || all[here - 1])?.dataset.card;
  }

  /* ``raw`` is JSON text of arguments, sent as it is. */
  async function decide(verb, members, raw) {
    const current = article();
    if (busy || !current || current.dataset.state !== "waiting" || !verbs()) return;
    if (performance.now() - shownAt < ARMED) {
      say("Look first: this has only just opened.");
      return;
    }
    busy = true;
    const { id, name } = current.dataset;
    const next = following(id);
    const body = { verb: verb === "like" ? "approve" : verb, seen: seen(), shown: current.dataset.edit, via: "console", ...named(), ...members };
    let text = JSON.stringify(body);
    if (raw !== undefined) text = `${text.slice(0, -1)},"args":${raw}}`;
    try {
      const { ok, status, told } = await post(`/api/approvals/${encodeURIComponent(id)}/decide`, text);
      busy = false;
      if (!ok) {
        if (status === 409 || status === 404) {
          await show(id, false, true);
          shownAt = performance.now();
          toast(told.detail);
        }
        say(told.advice ? `${told.detail}: ${told.advice}` : told.detail, "failed");
        return;
      }
      const partly = told.state === "waiting" && verb !== "ask";
      toast(`${DONE[verb]}: ${name}${partly ? `; ${told.approvals} of ${told.approvers} have` : ""}`);
      if (told.note) toast(told.note, 20000);
      await onward(id, next, verb === "ask");
    } catch (error) {
      say(`the gateway did not answer: ${error.message}; look at it again before you repeat this`, "failed");
    } finally {
      busy = false;
    }
  }

  async function onward(id, next, stay) {
    if (!inbox || stay) {
      await show(id, false);
      return;
    }
    await refreshQueue();
    const card = (next && at(next)) || cards()[0];
    if (!wide.matches) location.href = "/approvals";
    else if (card) await choose(card);
    else {
      put(beside, '<div class="nobody"><p><strong>Nothing to decide.</strong></p><p class="muted">The next call that a rule holds opens here by itself.</p></div>');
      beside.focus({ preventScroll: true });
    }
  }

  async function decideAll(verb, message) {
    const ids = [...beside.querySelectorAll("[name=id]:checked")].map((box) => box.value);
    if (busy || !ids.length) return;
    busy = true;
    const next = following(article().dataset.id);
    try {
      const { ok, told } = await post("/api/approvals/decide", JSON.stringify({ ids, verb, message, seen: seen(), via: "console", ...named() }));
      busy = false;
      if (!ok) {
        say(told.advice ? `${told.detail}: ${told.advice}` : told.detail, "failed");
        return;
      }
      const failed = told.results.filter((one) => !one.ok);
      const done = told.results.length - failed.length;
      toast(`${DONE[verb]}: ${done} of ${told.results.length}${failed.length ? `; of one, ${failed[0].detail}` : ""}`);
      for (const one of told.results) if (one.note) toast(`${one.id}: ${one.note}`, 20000);
      await onward(article().dataset.id, next, false);
    } catch (error) {
      say(`the gateway did not answer: ${error.message}; look at them again before you repeat this`, "failed");
    } finally {
      busy = false;
    }
  }

  function sure() {
    const dialog = document.getElementById("sure");
    dialog.returnValue = "";
    dialog.onclose = () => { if (dialog.returnValue === "yes") decideAll("approve", ""); };
    dialog.showModal();
  }

  /* -- forms -------------------------------------------------------------------------------------------------------- */

  function toggle(verb) {
    const form = beside.querySelector(`form.verb[data-verb=${verb}]`);
    if (!form) return;
    const was = form.hidden;
    close();
    form.hidden = !was;
    if (!was) return;
    if (verb === "like") propose(form);
    const field = form.querySelector("textarea, input, select");
    field?.focus();
    if (field?.name === "args") field.setSelectionRange(0, 0);
    form.scrollIntoView({ block: "nearest" });
  }

  function close() {
    for (const form of beside.querySelectorAll("form.verb")) form.hidden = true;
    if (stale) refreshBeside();
  }

  /* Numbers as they are written: 1.0 is not 1 to every tool. */
  function flat(text) {
    const found = new Map();
    const walk = (value, path) => {
      if (value instanceof Written) found.set(path, value.text);
      else if (Array.isArray(value) && value.length) value.forEach((one, number) => walk(one, `${path}[${number}]`));
      else if (value && typeof value === "object" && Object.keys(value).length) {
        for (const [name, one] of Object.entries(value)) walk(one, `${path}.${name}`);
      } else found.set(path, JSON.stringify(value));
    };
    walk(JSON.parse(text, (_, value, context) => typeof value === "number" ? new Written(context?.source ?? String(value)) : value), "args");
    return found;
  }

  class Written {
    constructor(text) { this.text = text; }
  }

  function line(kind, sign, path, value) {
    const element = document.createElement("p");
    element.className = kind;
    const code = document.createElement("code");
    code.textContent = `${sign} ${path}: ${value.replace(/[^\t\n\x20-\x7e]/g, (one) => /[\p{C}\p{Z}]/u.test(one) ? `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}` : one)}`;
    element.append(code);
    return element;
  }

  function compare(field) {
    const form = field.form;
    const box = form.querySelector(".diff");
    const button = form.querySelector("button.primary");
    box.replaceChildren();
    button.disabled = true;
    field.removeAttribute("aria-invalid");
    let before, after;
    try {
      before = flat(field.defaultValue);
      after = flat(field.value);
      if (!field.value.trim().startsWith("{")) throw new Error("arguments are an object: {...}");
    } catch (error) {
      field.setAttribute("aria-invalid", "true");
      box.append(line("bad", "!", "no JSON", error.message));
      return;
    }
    for (const [path, value] of before) {
      if (after.get(path) === value) continue;
      box.append(line("gone", "-", path, value));
      if (after.has(path)) box.append(line("come", "+", path, after.get(path)));
    }
    for (const [path, value] of after) if (!before.has(path)) box.append(line("come", "+", path, value));
    if (!box.children.length) box.textContent = "Nothing is changed yet.";
    else button.disabled = false;
  }

  async function propose(form) {
    const box = form.querySelector("fieldset");
    if (box.dataset.asked) return;
    box.dataset.asked = "1";
    const answer = await fetch(`${form.dataset.of}/proposals`, { credentials: "same-origin" });
    const told = await answer.json();
    for (const one of box.querySelectorAll("p")) one.remove();
    for (const one of answer.ok ? told.proposals : []) box.append(proposal(form, one));
    box.append(ownProposal(form, answer.ok ? "in words of your own (CEL)" : told.detail));
    box.querySelector("input").checked = true;
    form.querySelector("button.primary").disabled = false;
    if (openForm() === form) box.querySelector("input").focus();
    tellPreviews(form);
  }

  const made = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  function option(when, ...words) {
    const radio = made("input", { type: "radio", name: "when", value: when });
    return made("label", { className: "proposal" }, radio, made("span", {}, ...words));
  }

  function proposal(form, one) {
    const told = made("small", { className: "muted" });
    told.preview = one.preview;
    return option(one.when, one.about.join(", "), made("br", {}), made("code", { textContent: one.when }), made("br", {}), told);
  }

  function ownProposal(form, title) {
    const field = made("input", { name: "own", className: "mono", maxLength: 2000, spellcheck: false });
    field.setAttribute("aria-label", "A condition in CEL");
    const told = made("small", { className: "muted" });
    const label = option("", title, field, told);
    let asked = 0;
    field.addEventListener("input", () => {
      label.querySelector("[type=radio]").checked = true;
      clearTimeout(asked);
      asked = setTimeout(() => tryOut(form, field, told), 400);
    });
    return label;
  }

  async function tryOut(form, field, told) {
    const when = field.value;
    if (!when.trim()) return;
    const answer = await fetch(`${form.dataset.of}/preview?${new URLSearchParams({ when })}`, { credentials: "same-origin" });
    const found = await answer.json();
    if (field.value !== when) return; /* It has gone on. */
    field.toggleAttribute("aria-invalid", !answer.ok);
    told.preview = answer.ok ? found.preview : null;
    told.textContent = answer.ok ? "" : found.detail;
    tellPreviews(form);
  }

  /* What each condition would have let pass, had it stood: by the scope that is chosen. */
  function tellPreviews(form) {
    const scope = form.elements.scope.value;
    const whose = { run: "in this run", agent: "of this agent", everybody: "of everybody" }[scope];
    for (const told of form.querySelectorAll("small")) {
      const found = told.preview;
      if (!found) continue;
      if (!found.held) {
        told.textContent = "no such call is on record yet";
        continue;
      }
      const since = new Date(found.since * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
      const unknown = found.unknown ? `; of ${found.unknown} the record does not tell` : "";
      told.textContent = `would have let pass ${found.passed[scope]} ${whose}, of ${found.held} held since ${since}${unknown}`;
    }
  }

  function send(form) {
    const verb = form.dataset.verb;
    const given = new FormData(form);
    if (form.querySelector("button.primary, button.danger").disabled) return;
    if (article().dataset.alike) decideAll(verb, given.get("message"));
    else if (verb === "edit") decide("edit", {}, given.get("args"));
    else if (verb === "answer") decide("answer", { answer: given.get("answer") });
    else if (verb === "endorse") endorse(given.getAll("endorse"));
    else if (verb === "like") {
      const when = given.get("when") || given.get("own") || "";
      if (!when.trim()) say("Say which calls are like it.", "failed");
      else decide("like", { like: { when, scope: given.get("scope"), uses: Number(given.get("uses")), seconds: Number(given.get("seconds")) } });
    } else decide(verb, { message: given.get("message") });
  }

  function endorse(paths) {
    if (paths.length) decide("endorse", { endorse: paths });
    else say("Tick what may be used in this run.", "failed");
  }

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form.verb")) return;
    event.preventDefault();
    send(event.target);
  });
  document.addEventListener("input", (event) => {
    if (event.target.name === "args") compare(event.target);
    if (event.target.id === "all" || event.target.name === "id") tick(event.target);
  });
  document.addEventListener("change", (event) => {
    if (event.target.closest("[data-filters]")) event.target.form.requestSubmit();
    if (event.target === by) nameChanged();
    if (event.target.name === "scope") tellPreviews(event.target.form);
  });

  function nameChanged() {
    localStorage.setItem("toolgate-name", by.value.trim());
    const current = article();
    if (current) show(current.dataset.id, Boolean(current.dataset.alike)); /* Others may decide than could before. */
  }

  function tick(box) {
    const boxes = [...beside.querySelectorAll("[name=id]:not(:disabled)")];
    if (box.id === "all") for (const one of boxes) one.checked = box.checked;
    const ticked = boxes.filter((one) => one.checked).length;
    for (const element of document.querySelectorAll("[data-ticked]")) element.textContent = ticked;
    for (const button of beside.querySelectorAll(".bar button")) button.disabled = !ticked;
  }

  /* -- keys and clicks ---------------------------------------------------------------------------------------------- */

  function move(by) {
    const all = cards();
    if (!all.length) return;
    const here = all.findIndex((card) => card.dataset.card === article()?.dataset.id);
    const next = all[Math.min(all.length - 1, Math.max(0, here + by))];
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
    if (wide.matches) choose(next);
  }

  function unfold() {
    const all = [...beside.querySelectorAll(".tree details")];
    const open = all.some((one) => !one.open);
    for (const one of all) one.open = open;
  }

  function together() {
    const current = article();
    if (current) show(current.dataset.id, !current.dataset.alike);
  }

  const DOES = {
    a: () => { if (article()?.dataset.alike) { if (verbs()) sure(); } else decide("approve", {}); },
    d: () => toggle("deny"), e: () => toggle("edit"), r: () => toggle("answer"), n: () => toggle("endorse"),
    q: () => toggle("ask"), l: () => toggle("like"), t: together, p: unfold,
    j: () => move(1), k: () => move(-1), o: () => beside.focus(),
    "?": () => document.getElementById("keys").showModal(),
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-key]");
    const card = event.target.closest("a.card, a[data-choose]");
    if (button) DOES[button.dataset.key]();
    else if (event.target.closest("[data-close]")) close();
    else if (event.target.closest("#notify")) toggleNotify();
    else if (event.target.closest("#sound")) toggleSound();
    else if (card && inbox && wide.matches && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      if (card.dataset.choose) show(card.dataset.choose, false);
      else choose(card);
    }
  });

  /* Before console.js, whose keys go through rows. */
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && openForm() && !document.querySelector("dialog[open]")) {
      close();
      beside.focus({ preventScroll: true });
    } else if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
      at(article()?.dataset.id)?.focus();
    }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && openForm()) {
      event.preventDefault();
      openForm().requestSubmit();
    }
    if (event.key === "a" && openForm()) return; /* Whoever writes in a form means what the form says. */
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest("input, select, textarea")) return;
    const card = event.target.closest("a.card");
    if (event.key === "Enter" && card && inbox && wide.matches) {
      event.preventDefault();
      event.stopImmediatePropagation();
      choose(card).then(() => beside.focus({ preventScroll: true }));
      return;
    }
    if (!Object.hasOwn(DOES, event.key)) return;
    if ("adernqlt".includes(event.key) && !beside.querySelector(`[data-key="${event.key}"]`)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    DOES[event.key]();
  }, true);

  if (by) {
    by.value = localStorage.getItem("toolgate-name") || "";
    if (by.value) nameChanged();
  }
  countDown();
  setInterval(countDown, 1000);
  setInterval(() => { refreshLine(); if (!document.hidden) refreshQueue(); }, 10_000);
  mark();
})();
