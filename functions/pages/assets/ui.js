"use strict";
// The only script: live job pages, draggable cards, closing menus, protection from double submits.
// Each page works without it.

(() => {
  // A visit from another site gets `hop` in the URL; remove it, so that users do not copy it.
  const address = new URL(location.href);
  if (address.searchParams.has("hop")) {
    address.searchParams.delete("hop");
    history.replaceState(null, "", address);
  }

  // A click outside or Escape closes menus.
  const menus = () => document.querySelectorAll("details.menu[open]");
  document.addEventListener("click", (event) => {
    for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of menus()) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  // Submit each form once. Do not disable its button, because browsers omit a disabled button's value. The form that
  // moves cards is exempt: each of its buttons is a request with its own key, and an answer may open in another tab.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.id === "move") return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
  // The back button restores the page with its submitted forms; allow them again.
  addEventListener("pageshow", () => {
    for (const sent of document.querySelectorAll("[data-sent]")) delete sent.dataset.sent;
  });

  // On narrow screens, fold the facts so that the log is visible.
  const facts = document.querySelector("details.facts-fold");
  if (facts && matchMedia("(max-width: 719px)").matches) facts.open = false;

  // The board and the list of jobs refresh, but not during a hover, focus, selection, drag or open menu.
  const list = document.getElementById("list");
  let dragged = null;
  const inList = () => {
    const selected = getSelection();
    const reads = selected && !selected.isCollapsed && list.contains(selected.anchorNode);
    return dragged || reads || list.matches(":hover") || list.contains(document.activeElement) || list.querySelector("details[open]");
  };
  const lookAgain = async () => {
    try {
      if (!document.hidden && !inList()) {
        const answer = await fetch(location.href, { cache: "no-store", redirect: "error", signal: AbortSignal.timeout(20000) });
        const page = answer.ok && new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page && page.getElementById("list");
        if (fresh) letDrag(page);
        if (fresh && !inList()) {
          if (fresh.innerHTML !== list.innerHTML) list.replaceChildren(...fresh.childNodes);
          // Moves on the refreshed board are new requests, so they need its new key.
          const [once, next] = [document, page].map((one) => one.querySelector("#move [name=once]"));
          if (once && next) once.value = next.value;
        }
        if (fresh) list.dataset.refresh = fresh.dataset.refresh;
      }
    } catch {
      // Keep the page; the next refresh may succeed.
    }
    setTimeout(lookAgain, Number(list.dataset.refresh));
  };
  if (list) setTimeout(lookAgain, Number(list.dataset.refresh));

  // Users drag a card into a column by mouse, or by a long press if the browser supports it. A drop clicks the card's
  // own "Move to…" button for that column, so key, answer and refusals are equal. The card moves with the next page.
  const letDrag = (page) => {
    if (page.getElementById("move")) for (const card of page.querySelectorAll(".card")) card.draggable = true;
  };
  letDrag(document);
  const columnAt = (event) => event.composedPath().find((one) => one.matches?.(".column"));
  const buttonFor = (column) =>
    [...dragged.querySelectorAll("button[name=status]")].find((button) => button.value === column.dataset.status);
  const letGo = () => {
    if (!dragged) return;
    dragged = null;
    for (const marked of document.querySelectorAll("[data-drag]")) delete marked.dataset.drag;
    // The press that started the drag focused the list, which would block refreshes.
    if (document.activeElement === list) list.blur();
  };
  document.addEventListener("dragstart", (event) => {
    letGo();
    // A drag of selected text stays a drag of text.
    const card = event.target.closest?.(".card[draggable]");
    if (!card) return;
    for (const menu of menus()) menu.open = false;
    dragged = card;
    // A drag of a link in a card moves the card, and is still a link for other windows.
    const { left, top } = card.getBoundingClientRect();
    if (event.target === card) event.dataTransfer.setData("text/plain", card.querySelector(".title").href);
    else event.dataTransfer.setDragImage(card, event.clientX - left, event.clientY - top);
  });
  // Set the marks here, because at `dragstart` the browser has not yet captured the card's image.
  const hover = (event) => {
    if (!dragged) return;
    const over = columnAt(event);
    dragged.dataset.drag = "lifted";
    for (const column of list.querySelectorAll(".column")) {
      column.dataset.drag = !buttonFor(column) ? "refuses" : column === over ? "here" : "takes";
    }
    if (!over || !buttonFor(over)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "move";
  };
  document.addEventListener("dragenter", hover);
  document.addEventListener("dragover", hover);
  document.addEventListener("drop", (event) => {
    const over = dragged && columnAt(event);
    const button = over && buttonFor(over);
    if (!button) return;
    event.preventDefault();
    dragged.dataset.sent = "yes";
    button.click();
  });
  document.addEventListener("dragend", letGo);

  const log = document.getElementById("log");
  if (!log || log.dataset.next === "0") return;

  const byId = (id) => document.getElementById(id);
  const live = byId("live");
  const jump = byId("jump");
  let cursor = log.dataset.cursor;
  let wait = Number(log.dataset.next);
  let timer = 0;
  let asking = false;
  let failed = 0;
  let failedSince = 0;
  let unread = 0;
  let word = "";
  const last = {};

  const say = (shape, words) => {
    live.hidden = false;
    const text = `${shape} ${words}`;
    if (live.textContent !== text) live.textContent = text;
  };

  const atBottom = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 48;

  // Whether the element has a selection, the focus, a pressed control or an open menu.
  const inUse = (element) => {
    if (element.querySelector("details.menu[open]") || element.matches(":active")) return true;
    const selected = getSelection();
    const holds = selected && !selected.isCollapsed && element.contains(selected.anchorNode);
    return holds || (document.activeElement !== document.body && element.contains(document.activeElement));
  };

  // Replaces an element that is in use later. Stores its new content, because no later answer may have it.
  const left = new Map();
  const replace = (id, fresh) => {
    const here = byId(id);
    const there = fresh.getElementById(id) || left.get(id);
    left.delete(id);
    if (!here || !there || last[id] === there.innerHTML || here.innerHTML === there.innerHTML) return;
    // Answers contain the usage only when it changes, so replace it at once.
    if (id !== "used" && inUse(here)) {
      left.set(id, there);
      return;
    }
    last[id] = there.innerHTML;
    here.replaceChildren(...there.childNodes);
  };

  // The request grows when its reviews are loaded. It stays folded or open.
  const asked = (fresh) => {
    const [here, there] = [document, fresh].map((page) => page.querySelector("#asked > details"));
    if (here && there) there.open = here.open;
    replace("asked", fresh);
  };

  // The form for messages depends on the job's state. Retain a draft, and a form with the focus.
  const speak = (fresh) => {
    const [here, there] = [byId("speak"), fresh.getElementById("speak")];
    if (!here || !there || here.dataset.kind === there.dataset.kind || inUse(here)) return;
    const [old, text] = [here, there].map((one) => one.querySelector("textarea"));
    if (old && old.value && !text) return;
    if (old && text) {
      text.value = old.value;
      const [was, fold] = [old, text].map((one) => one.closest("details"));
      if (fold) fold.open = Boolean(old.value) || Boolean(was && was.open);
    }
    here.dataset.kind = there.dataset.kind;
    here.replaceChildren(...there.childNodes);
  };

  // Puts the result of a tool call under its call, if the page shows the call.
  const adopt = (row) => {
    const answer = row.querySelector("details.answer > pre");
    if (!answer || !row.dataset.call) return false;
    const begun = [...log.querySelectorAll(".row[data-call]")].reverse().find((other) => other.dataset.call === row.dataset.call);
    const step = begun && begun.querySelector(".step");
    if (!step) return false;
    if (step.matches("details")) {
      const block = step.querySelector("pre");
      block.textContent += `\n${answer.textContent}`;
    } else {
      const details = document.createElement("details");
      details.className = "step";
      const summary = document.createElement("summary");
      summary.append(...step.childNodes);
      details.append(summary, answer);
      step.replaceWith(details);
    }
    return true;
  };

  const append = (fresh) => {
    const rows = [...fresh.querySelectorAll("body > .rows > *")];
    if (rows.length === 0) return;
    const follow = atBottom() && getSelection().isCollapsed;
    const segment = document.createElement("div");
    segment.className = "rows fresh";
    for (const row of rows) if (!adopt(row)) segment.append(row);
    if (segment.childElementCount === 0) return;
    log.append(segment);
    byId("no-log").hidden = true;
    if (follow) {
      scrollTo(0, document.documentElement.scrollHeight);
    } else {
      unread += segment.childElementCount;
      jump.textContent = `↓ ${unread} new · Jump to live`;
      jump.hidden = false;
    }
  };

  const replaceWhatIsLeft = () => {
    for (const [id, there] of [...left]) replace(id, there.ownerDocument);
    if (left.size > 0) setTimeout(replaceWhatIsLeft, 1000);
  };

  const stop = () => {
    live.hidden = true;
    timer = 0;
    wait = 0;
    replaceWhatIsLeft();
  };

  const later = (ms) => {
    clearTimeout(timer);
    timer = document.hidden ? 0 : setTimeout(ask, ms);
  };

  const lost = () => {
    failed += 1;
    failedSince = failedSince || Date.now();
    const since = Date.now() - failedSince;
    if (since >= 10000) {
      const at = new Date(failedSince).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
      say("○", `Out of date since ${at}`);
    } else {
      say("◌", "Reconnecting");
    }
    later(Math.min(30000, 500 * 2 ** failed) * (0.75 + Math.random() / 2));
  };

  const ask = async () => {
    if (asking || wait === 0) return;
    asking = true;
    try {
      const answer = await fetch(`${log.dataset.address}?after=${encodeURIComponent(cursor)}`, {
        headers: { Accept: "text/html; fragment" },
        cache: "no-store",
        redirect: "error",
        signal: AbortSignal.timeout(20000),
      });
      if (answer.status === 401 || answer.status === 403 || answer.status === 404) {
        stop();
        say("○", "Out of date: sign in again");
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      failed = 0;
      failedSince = 0;
      replace("head", fresh);
      replace("actions", fresh);
      speak(fresh);
      replace("facts", fresh);
      asked(fresh);
      replace("kept", fresh);
      replace("used", fresh);
      append(fresh);
      const rest = byId("rest");
      if (rest) rest.remove();
      const pill = fresh.querySelector("#head .pill");
      if (pill && word !== pill.textContent) {
        if (word) byId("announce").textContent = pill.textContent;
        word = pill.textContent;
      }
      cursor = answer.headers.get("pullyard-cursor") || cursor;
      wait = Number(answer.headers.get("pullyard-next"));
      if (wait > 0) {
        say("●", "Live");
        later(wait);
      } else {
        stop();
      }
    } catch {
      lost();
    } finally {
      asking = false;
    }
  };

  jump.addEventListener("click", () => scrollTo(0, document.documentElement.scrollHeight));
  addEventListener("scroll", () => {
    if (!atBottom()) return;
    unread = 0;
    jump.hidden = true;
  }, { passive: true });
  document.addEventListener("visibilitychange", () => {
    if (wait === 0) return;
    if (document.hidden) {
      clearTimeout(timer);
      say("‖", "Paused (tab hidden)");
    } else {
      ask();
    }
  });

  say("●", "Live");
  later(wait);
})();
