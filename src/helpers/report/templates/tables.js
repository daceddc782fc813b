// Tables of more than one row sort by a click or key press on a heading, and long ones can be filtered;
// without script they read as they are.
document.querySelectorAll("table.apap").forEach(function (table) {
  var body = table.tBodies[0];
  if (!body || body.rows.length < 2) return;
  if (body.rows.length >= 10) addFilter(table, Array.prototype.slice.call(body.rows));
  Array.prototype.forEach.call(table.tHead.rows[0].cells, function (head, index) {
    var button = document.createElement("button");
    button.type = "button";
    while (head.firstChild) button.appendChild(head.firstChild);
    head.appendChild(button);
    button.addEventListener("click", function () {
      var up = head.getAttribute("aria-sort") !== "ascending";
      Array.prototype.forEach.call(table.tHead.rows[0].cells, function (other) { other.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      var rows = Array.prototype.slice.call(body.rows);
      rows.sort(function (a, b) {
        var x = value(a.cells[index]), y = value(b.cells[index]);
        if (x === "" || y === "") return (x === "") - (y === "");
        var order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
        return up ? order : -order;
      });
      rows.forEach(function (row) { body.appendChild(row); });
    });
  });
  function value(cell) {
    if (!cell) return "";
    if (cell.hasAttribute("data-sort")) return cell.dataset.sort === "" ? "" : Number(cell.dataset.sort);
    return cell.textContent.trim();
  }
  // A box above the table: rows are shown that hold every word in it.
  function addFilter(table, rows) {
    var words = document.body.dataset, place = document.createElement("div");
    var box = document.createElement("input"), count = document.createElement("output");
    place.className = "filter";
    box.type = "search";
    box.placeholder = words.filter;
    box.setAttribute("aria-label", words.filter + ": " + table.caption.textContent);
    place.appendChild(box);
    place.appendChild(count);
    table.parentNode.parentNode.insertBefore(place, table.parentNode);
    var texts = rows.map(function (row) {
      return Array.prototype.map.call(row.cells, function (cell) { return cell.textContent; }).join("\n").toLowerCase();
    });
    box.addEventListener("input", function () {
      var wanted = box.value.toLowerCase().split(/\s+/), left = 0;
      rows.forEach(function (row, i) {
        row.hidden = !wanted.every(function (word) { return texts[i].indexOf(word) >= 0; });
        left += row.hidden ? 0 : 1;
      });
      count.textContent = box.value.trim() ? left + " " + words.filtered + " " + rows.length : "";
    });
  }
});
