// Poll the server's state every two seconds and update the charts whose rows changed; they keep their zoom.
const said = document.querySelector("#live"), last = new Map();
let measured;

async function follow() {
  const state = await (await fetch("state")).json();
  for (const [key, rows] of Object.entries(state.rows)) {
    const run = key.split(" ")[0], text = JSON.stringify(rows);
    if (last.get(key) === text || !document.getElementById(run)) continue;
    if (!views.has(key)) return location.reload();  // the first epoch of a run
    if (last.has(key)) {
      const epoch = Math.max(...rows.map((row) => row.epoch));
      said.textContent = "";
      said.append(Object.assign(document.createElement("a"), { href: `#${run}`, textContent: run }), `: epoch ${epoch}, at ${new Date().toLocaleTimeString()}`);
      views.get(key).data("rows", rows).runAsync();
    }
    last.set(key, text);
  }
  for (const note of document.querySelectorAll("[data-outdated]")) note.hidden = !state.outdated.includes(note.dataset.outdated);
  measured ??= state.measured;
  if (state.measured !== measured) document.querySelector("#anew").hidden = false;
}

async function again() {
  try {
    await follow();
  } catch {
    said.textContent = "The server does not answer. `make watch` starts it.";
  }
  setTimeout(again, 2000);
}

drawn.then(again);
