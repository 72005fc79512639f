// SPDX-License-Identifier: BSD-3-Clause
// Tables that change in place, so that focus and selection stay. Everything is
// written as text: names and errors come from the network.

/** put sets the text of an element, if it is another one. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * fill makes the rows of a table. A cell is a text, or an object of text, kind
 * (a class), and draw (a function that is given the cell); the first one heads the row.
 */
export function fill(table, rows, none) {
  const body = table.tBodies[0];
  const labels = [...table.tHead.rows[0].cells];
  if (rows.length === 0) {
    if (!body.firstElementChild?.classList.contains("none") || body.rows.length > 1) {
      const row = document.createElement("tr");
      row.className = "none";
      const cell = document.createElement("td");
      cell.colSpan = labels.length;
      row.append(cell);
      body.replaceChildren(row);
    }
    put(body.rows[0].cells[0], none);
    return;
  }
  if (body.firstElementChild?.classList.contains("none")) body.replaceChildren();
  while (body.rows.length > rows.length) body.rows[body.rows.length - 1].remove();
  rows.forEach((cells, at) => {
    let row = body.rows[at];
    if (!row) {
      row = document.createElement("tr");
      cells.forEach((_, i) => {
        const cell = document.createElement(i === 0 ? "th" : "td");
        if (i === 0) cell.scope = "row";
        cell.dataset.label = labels[i].textContent;
        row.append(cell);
      });
      body.append(row);
    }
    cells.forEach((c, i) => {
      const cell = row.cells[i];
      if (c.draw) {
        c.draw(cell);
        return;
      }
      const text = c.text ?? c;
      put(cell, text);
      const kind = [labels[i].className, c.kind ?? ""].join(" ").trim();
      if (cell.className !== kind) cell.className = kind;
      cell.toggleAttribute("data-empty", text === "");
    });
  });
}
