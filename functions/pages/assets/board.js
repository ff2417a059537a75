"use strict";
// The board: keys, drags, and cards that move at once. The server's answer then decides. Without this file, a card's
// menu is on its ticket's page, and sends the same form.

(() => {
  const byId = (id) => document.getElementById(id);
  const list = byId("list");
  if (!list) return;
  const mayMove = byId("moved");
  const columns = () => [...list.children];
  const cardsOf = (column) => [...column.querySelectorAll(".card")];
  // Cards, and links to cards that the page leaves out.
  const itemsOf = (column) => [...column.querySelector(".cards").children];
  const countOf = (items) => items.reduce((sum, item) => sum + Number(item.dataset.count ?? 1), 0);
  const columnOf = (status) => columns().find((column) => column.dataset.status === status);
  const itemWith = (key) => [...list.querySelectorAll("[data-key]")].find((item) => item.dataset.key === key);
  const nameOf = (column) => column.querySelector("h2").textContent;
  const titleOf = (card) => card.querySelector(".title");
  const newKey = () => crypto.getRandomValues(new Uint32Array(4)).join("-");
  const load = async (url, options) => {
    const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(10000), ...options });
    return [answer, new DOMParser().parseFromString(await answer.text(), "text/html")];
  };
  const announce = (text) => { byId("moved").textContent = text; };

  // Notes of cards by the card's id, because an update replaces the content of cards.
  const notes = new Map();
  const addNote = (card) => {
    card.querySelector(":scope > .note")?.remove();
    if (notes.has(card.id)) card.append(notes.get(card.id));
  };
  const note = (id, content, tone = "") => {
    const box = Object.assign(document.createElement("div"), { className: `note ${tone}` });
    box.append(...[content].flat());
    if (content) notes.set(id, box);
    else notes.delete(id);
    if (byId(id)) addNote(byId(id));
    return box;
  };
  const closable = (id, content, tone) => {
    const close = Object.assign(document.createElement("button"), { type: "button", className: "quiet tiny square", textContent: "×", ariaLabel: "Close" });
    close.addEventListener("click", () => {
      note(id, "");
      focus(byId(id));
    });
    note(id, [...content, close], tone);
  };

  // One card is a stop of the Tab key; the arrows go to the others.
  let current = null;
  const setStop = (card, index) => { for (const stop of card.querySelectorAll("a, summary")) stop.tabIndex = index; };
  const rove = (card) => {
    if (current && current !== card) setStop(current, -1);
    current = card;
    setStop(card, 0);
  };
  const focus = (card) => { if (card) titleOf(card).focus(); };
  list.addEventListener("focusin", (event) => {
    const card = event.target.closest(".card");
    if (card) rove(card);
  });
  const prepare = () => {
    const cards = [...list.querySelectorAll(".card")];
    for (const card of cards) {
      if (mayMove) card.draggable = true;
      setStop(card, -1);
    }
    const stop = (current && byId(current.id)) || cards[0];
    if (stop) rove(stop);
  };

  // Shows the server's board. Only changed cards are replaced, so that focus, menus and the quick form survive.
  // A response is compared without the key of its forms, which is always new.
  const sent = new WeakMap();
  const remember = (card) => {
    const formKey = card.querySelector("[name=form_key]")?.value;
    sent.set(card, card.innerHTML.replace(formKey, ""));
  };
  const replace = (card, next) => {
    if (sent.get(card) !== sent.get(next)) card.replaceChildren(...next.childNodes);
    sent.set(card, sent.get(next));
    return card;
  };
  const show = (page, mayOrder) => {
    const fresh = page.getElementById("list");
    const statuses = (of) => [...of.children].map((column) => column.dataset.status).join("\n");
    const focused = document.activeElement.closest(".card")?.id;
    for (const card of fresh.querySelectorAll(".card")) remember(card);
    if (!mayOrder) {
      for (const next of fresh.querySelectorAll(".card")) if (byId(next.id)) replace(byId(next.id), next);
    } else if (statuses(fresh) !== statuses(list)) {
      if (!byId("quick-title")?.value) list.replaceChildren(...fresh.childNodes);
    } else {
      for (const [at, there] of [...fresh.children].entries()) {
        const box = columns()[at].querySelector(".cards");
        const items = itemsOf(there).map((next) => (byId(next.id) ? replace(byId(next.id), next) : next));
        items.forEach((item, place) => { if (box.children[place] !== item) box.insertBefore(item, box.children[place] || null); });
        while (box.children.length > items.length) box.lastElementChild.remove();
      }
    }
    count();
    prepare();
    for (const id of notes.keys()) if (byId(id)) addNote(byId(id));
    if (focused && !document.activeElement.closest(".card")) focus(byId(focused));
  };
  const count = () => {
    for (const column of columns()) column.querySelector(".count").textContent = countOf(itemsOf(column));
  };

  // The live updates of `ui.js` wait during moves, drags, clicks, selections and open menus. No card moves while one is
  // under the pointer.
  let pending = 0;
  let dragged = null;
  list.addEventListener("fresh", (event) => {
    const waits = pending || dragged || pullyard.isPressed(list) || list.querySelector("details.menu[open]");
    if (!waits && getSelection().isCollapsed) show(event.detail, !list.querySelector(".card:hover"));
  });
  const refreshSoon = () => setTimeout(() => document.dispatchEvent(new Event("refresh")), 1000);

  // Moves a card at once. Requests are sent one after the other, so that the last move wins.
  let queue = Promise.resolve();
  const move = (card, status, before) => {
    const from = card.closest(".column");
    const to = status === undefined ? from : columnOf(status);
    const home = [card.parentNode, card.nextElementSibling];
    const focused = card.contains(document.activeElement);
    const action = titleOf(card).href.replace("?", "/move?");
    for (const menu of card.querySelectorAll("details[open]")) menu.open = false;
    if (to) to.querySelector(".cards").insertBefore(card, (before && itemWith(before)) || null);
    if (to !== from) note(card.id, to && to.querySelector("header").dataset.effect === "Starts a job" ? "Starting…" : "Moving…");
    count();
    if (focused) focus(card);
    if (to) {
      const items = itemsOf(to);
      announce(`${card.dataset.key} moved to ${nameOf(to)}, ${countOf(items.slice(0, items.indexOf(card) + 1))} of ${countOf(items)}.`);
    }
    const back = new URL(location.href);
    back.searchParams.delete("decision");
    const body = new URLSearchParams({ form_key: newKey(), back: back.pathname + back.search });
    if (to !== from) body.set("status", status);
    if (before !== undefined) body.set("before", before);
    pending += 1;
    queue = queue.then(() => send(card.id, action, body, home)).then(() => sayHidden(card, to));
  };

  // A card that was dropped next to hidden cards is hidden after the move.
  const sayHidden = (card, to) => {
    if (byId(card.id) || !to?.isConnected) return;
    const head = to.querySelector("header");
    head.dataset.says = `${card.dataset.key} hidden`;
    announce(`${card.dataset.key} is in ${nameOf(to)}, among the cards that are not shown.`);
    setTimeout(() => delete head.dataset.says, 6000);
  };

  // Sends a move until an answer arrives. Each try has the same key, so that the server counts one move.
  const send = async (id, action, body, home) => {
    for (let pause = 1000; ; pause = Math.min(2 * pause, 30000)) {
      try {
        const [answer, page] = await load(action, { method: "POST", body });
        if (answer.status < 500 && answer.status !== 429) {
          pending -= 1;
          if (answer.ok && page.getElementById("list")) accept(id, page, answer.url);
          else refuse(id, page, home);
          return;
        }
      } catch {
        // No answer: the server may or may not have moved the card.
      }
      note(id, "Not confirmed: the server does not answer. Trying again…", "warn");
      announce("Not confirmed");
      await new Promise((again) => setTimeout(again, pause));
    }
  };

  const accept = (id, page, url) => {
    note(id, "");
    byId("decision")?.remove();
    if (pending === 0) show(page, true);
    refreshSoon();
    const decision = page.getElementById("decision");
    if (!decision) return;
    announce(decision.querySelector("div").firstChild.textContent.trim());
    const entry = Object.assign(document.createElement("a"), { href: `/decisions/${new URL(url).searchParams.get("decision")}`, textContent: "Decision" });
    if (decision.matches(".ok")) {
      const box = note(id, [...decision.childNodes], "ok");
      setTimeout(() => { if (notes.get(id) === box) note(id, ""); }, 6000);
    } else if (decision.matches(".warn, .bad")) {
      closable(id, [...decision.childNodes, entry], decision.matches(".warn") ? "warn" : "bad");
    }
  };

  // A refused card returns, unless a later move of it is under way.
  const refuse = (id, page, [box, next]) => {
    const card = byId(id);
    const sentence = page.querySelector(".fault h1")?.textContent || "Your session ended. Sign in again.";
    if (card && box.isConnected) box.insertBefore(card, next?.parentNode === box ? next : null);
    count();
    const text = Object.assign(document.createElement("div"), { textContent: `Not moved: ${sentence}` });
    const focused = card?.contains(document.activeElement) || document.activeElement === document.body;
    closable(id, [text], "bad");
    if (focused) focus(card);
    announce(text.textContent);
    refreshSoon();
  };

  // The menu of a card is loaded when it opens, because its moves depend on the column.
  const openMenu = async (card) => {
    const link = card.querySelector("a.act");
    if (!link) return;
    let sheet = null;
    try {
      const answer = await fetch(link.href, { cache: "no-store", redirect: "error" });
      sheet = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("moves");
    } catch {
      // The ticket's page says why.
    }
    if (!sheet) location.assign(link.href);
    const [menu, summary] = [document.createElement("details"), document.createElement("summary")];
    if (!sheet || card.querySelector("a.act") !== link) return;
    Object.assign(summary, { textContent: link.textContent, ariaLabel: link.ariaLabel, className: "act" });
    menu.className = "menu";
    menu.append(summary, sheet);
    menu.addEventListener("toggle", () => {
      if (menu.open) return;
      const focused = menu.contains(document.activeElement);
      menu.replaceWith(link);
      if (focused) link.focus();
    });
    menu.open = true;
    link.replaceWith(menu);
    sheet.querySelector("button")?.focus();
  };
  list.addEventListener("click", (event) => {
    const link = event.target.closest("a.act");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    openMenu(link.closest(".card"));
  });

  // The buttons of the menu. Other forms of a card, such as the one that starts a waiting review, are sent as they are.
  document.addEventListener("submit", (event) => {
    const card = event.target.closest("#moves")?.closest(".card");
    if (!card) return;
    event.preventDefault();
    const { name, value } = event.submitter;
    if (name === "status") move(card, value);
    else move(card, undefined, value);
  });

  // The quick form stays open for the next ticket. If the server refuses one, the form is sent again as a page, which
  // says why; with the same key, the server counts one ticket.
  const quickForm = byId("quick-form");
  quickForm?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [title, key] = [byId("quick-title"), quickForm.elements.form_key];
    const body = new URLSearchParams(new FormData(quickForm));
    title.value = "";
    key.value = newKey();
    title.focus();
    try {
      const [answer, page] = await load(quickForm.action, { method: "POST", body });
      if (!answer.ok || !page.getElementById("list")) throw new Error(String(answer.status));
      if (page.getElementById("decision")) return location.assign(answer.url);
      const [, board] = await load(location.href);
      document.querySelector("main > .panel .empty")?.parentNode.remove();
      if (pending === 0) show(board, true);
      announce(`Created: ${body.get("title")}`);
    } catch {
      title.value = body.get("title");
      key.value = body.get("form_key");
      quickForm.submit();
    }
  });

  // A drag. The marks are set at `dragover`, because at `dragstart` the browser has not yet captured the card's image.
  const endDrag = () => {
    dragged = null;
    for (const marked of document.querySelectorAll("[data-drag], [data-drop]")) {
      delete marked.dataset.drag;
      delete marked.dataset.drop;
    }
    for (const head of list.querySelectorAll("header")) delete head.dataset.says;
    if (document.activeElement === list) list.blur();
  };
  const takes = (card, column) => column === card.closest(".column") || column.hasAttribute("data-accepts");
  const nextAt = (column, y) => itemsOf(column).filter((item) => item !== dragged).find((item) => {
    const { top, height } = item.getBoundingClientRect();
    return y < top + height / 2;
  });
  const effectOf = (card, column, head) => {
    if (column === card.closest(".column")) return "Changes the order";
    if (column.querySelector(".starts") && card.querySelector(".job")) return "Will not start: its job is active";
    return head.dataset.effect;
  };
  document.addEventListener("dragstart", (event) => {
    endDrag();
    // A drag of selected text stays a drag of text.
    const card = event.target.closest?.(".card[draggable]");
    if (!card) return;
    for (const menu of list.querySelectorAll("details.menu[open]")) menu.open = false;
    dragged = card;
    // A drag of a link in a card moves the card, and is still a link for other windows.
    const { left, top } = card.getBoundingClientRect();
    if (event.target === card) event.dataTransfer.setData("text/plain", titleOf(card).href);
    else event.dataTransfer.setDragImage(card, event.clientX - left, event.clientY - top);
  });
  const hover = (event) => {
    if (!dragged) return;
    const over = event.target.closest?.(".column");
    dragged.dataset.drag = "lifted";
    for (const column of columns()) {
      const head = column.querySelector("header");
      head.dataset.says = effectOf(dragged, column, head);
      column.dataset.drag = !takes(dragged, column) ? "refuses" : column === over ? "here" : "takes";
    }
    for (const marked of list.querySelectorAll("[data-drop]")) delete marked.dataset.drop;
    if (!over || !takes(dragged, over)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "move";
    const next = nextAt(over, event.clientY);
    const last = itemsOf(over).filter((item) => item !== dragged).at(-1);
    if (next) next.dataset.drop = "before";
    else if (last) last.dataset.drop = "after";
  };
  document.addEventListener("dragenter", hover);
  document.addEventListener("dragover", hover);
  document.addEventListener("drop", (event) => {
    const over = dragged && event.target.closest?.(".column");
    if (!over || !takes(dragged, over)) return;
    event.preventDefault();
    const [card, next] = [dragged, nextAt(over, event.clientY)];
    const stays = over === card.closest(".column");
    endDrag();
    if (stays && (next || null) === card.nextElementSibling) return;
    move(card, stays ? undefined : over.dataset.status, next ? next.dataset.key : "");
  });
  document.addEventListener("dragend", endDrag);

  // Keys. `c` and `m` can be switched off with the other letters.
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const goTo = (card, [x, y]) => {
    const all = columns();
    const column = card.closest(".column");
    const at = cardsOf(column).indexOf(card);
    if (y) return focus(cardsOf(column)[at + y]);
    for (let next = all.indexOf(column) + x; all[next]; next += x) {
      const cards = cardsOf(all[next]);
      if (cards.length) return focus(cards[Math.min(at, cards.length - 1)]);
    }
  };
  const shift = (card, [x, y]) => {
    const column = card.closest(".column");
    const items = itemsOf(column);
    const at = items.indexOf(card);
    const to = columns()[columns().indexOf(column) + x];
    if (x && to && takes(card, to)) move(card, to.dataset.status);
    const neighbour = y && items[at + y];
    if (!neighbour) return;
    if (neighbour.dataset.count) announce("The next cards are hidden. Show them first.");
    else move(card, undefined, (y < 0 ? neighbour : items[at + 2])?.dataset.key || "");
  };
  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    const quick = byId("quick");
    if (key === "Escape" && quick?.contains(target)) {
      quick.open = false;
      quick.querySelector("summary").focus();
    }
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, textarea, select, [contenteditable], dialog")) return;
    const letters = byId("keys-on").checked;
    const card = target.closest(".card");
    const menu = target.closest(".card .menu[open]");
    const way = step[key];
    if (key === "c" && letters && quick) {
      quick.open = true;
      byId("quick-title").focus();
    } else if (key === "m" && letters && card && mayMove) {
      openMenu(card);
    } else if (way && menu) {
      const stops = [...menu.querySelectorAll(".sheet :is(button, a)")];
      stops.at((stops.indexOf(target) + way[1] + (way[1] < 0 && !stops.includes(target) ? 1 : 0)) % stops.length).focus();
    } else if (way && event.shiftKey && card && mayMove) {
      shift(card, way);
    } else if (way && !event.shiftKey && card) {
      goTo(card, way);
    } else if (way && !event.shiftKey && (target === list || (target === document.body && letters)) && current) {
      focus(current);
    } else {
      return;
    }
    event.preventDefault();
  });

  list.dataset.live = "cards";
  for (const card of list.querySelectorAll(".card")) remember(card);
  prepare();
})();
