// Tables of more than one row sort by a click or key press on a heading; without script they read as they are.
document.querySelectorAll("table.apap").forEach(function (table) {
  var body = table.tBodies[0];
  if (!body || body.rows.length < 2) return;
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
});
