// Keeps the parts of a page that change up to date, by one stream. Without it the page is as good as when it was loaded.
(function () {
    "use strict";

    var page = document.querySelector("[data-stream]");
    var root = document.querySelector("[data-live-root]");
    if (!page || !root || !window.EventSource) {
        return;
    }
    var stale = document.querySelector(".perdure-stale");

    function isInUse(part) {
        return part.contains(document.activeElement) && document.activeElement !== part || part.querySelector("details[open]");
    }

    function show(html) {
        var fresh = document.createElement("template");
        fresh.innerHTML = html;
        fresh.content.querySelectorAll("[data-live]").forEach(function (part) {
            var old = document.getElementById(part.id);
            if (old && !isInUse(old) && old.outerHTML !== part.outerHTML) {
                var scrolled = old.scrollLeft;
                var focused = old === document.activeElement;
                old.replaceWith(part);
                part.scrollLeft = scrolled;
                if (focused) {
                    part.focus({ preventScroll: true });
                }
            }
        });
    }

    var source = new EventSource(page.dataset.stream);
    source.addEventListener("update", function (event) {
        stale.hidden = true;
        show(JSON.parse(event.data));
    });
    source.addEventListener("lost", function () { stale.hidden = false; });
    source.addEventListener("error", function () { stale.hidden = false; });
    source.addEventListener("open", function () { stale.hidden = true; });
    window.addEventListener("pagehide", function () { source.close(); });
})();
