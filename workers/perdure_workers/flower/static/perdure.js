// Keeps the parts of a page that change up to date, by one stream. Without it the page is as good as when it was loaded.
(function () {
    "use strict";

    // Milliseconds without a word from the server, which speaks every second, after which the page says that it is old.
    var PATIENCE = 6000;

    document.addEventListener("change", function (event) {
        var all = event.target.dataset && event.target.dataset.all;
        if (all) {
            document.querySelectorAll('input[type="checkbox"][form="' + all + '"]').forEach(function (box) {
                box.checked = event.target.checked;
            });
        }
    });

    var page = document.querySelector("[data-stream]");
    var root = document.querySelector("[data-live-root]");
    if (!page || !root || !window.EventSource) {
        return;
    }
    var stale = document.querySelector(".perdure-stale");
    var asOf = document.querySelector(".perdure-updated time");
    var heard = Date.now();

    function isInUse(part) {
        return part.contains(document.activeElement) && document.activeElement !== part
            || part.querySelector("details[open], input[type=checkbox]:checked");
    }

    // A log begins at its end, which is 0, and goes on there unless somebody reads further up: then from the top.
    function readUpTo(log) {
        return log.scrollTop < 0 ? log.scrollHeight + log.scrollTop : undefined;
    }

    function show(html) {
        var fresh = document.createElement("template");
        fresh.innerHTML = html;
        fresh.content.querySelectorAll("[data-live]").forEach(function (part) {
            var old = document.getElementById(part.id);
            if (old && !isInUse(old) && old.outerHTML !== part.outerHTML) {
                var scrolled = old.scrollLeft;
                var focused = old === document.activeElement;
                var read = Array.from(old.querySelectorAll(".perdure-log"), readUpTo);
                old.replaceWith(part);
                part.scrollLeft = scrolled;
                part.querySelectorAll(".perdure-log").forEach(function (log, number) {
                    log.scrollTop = read[number] === undefined ? 0 : read[number] - log.scrollHeight;
                });
                if (focused) {
                    part.focus({ preventScroll: true });
                }
            }
        });
    }

    function setStale(is) {
        stale.hidden = !is;
        page.classList.toggle("perdure-is-stale", is);
    }

    function hear(at) {
        heard = Date.now();
        setStale(false);
        asOf.textContent = at;
        asOf.dateTime = at.replace(" ", "T") + "Z";
    }

    var source = new EventSource(page.dataset.stream);
    source.addEventListener("update", function (event) {
        var news = JSON.parse(event.data);
        hear(news[0]);
        show(news[1]);
    });
    source.addEventListener("looked", function (event) { hear(JSON.parse(event.data)[0]); });
    source.addEventListener("lost", function () { setStale(true); });
    source.addEventListener("error", function () { setStale(true); });
    var clock = window.setInterval(function () {
        if (Date.now() - heard > PATIENCE) {
            setStale(true);
        }
    }, 1000);
    window.addEventListener("pagehide", function () { window.clearInterval(clock); source.close(); });
    window.addEventListener("pageshow", function (event) {
        if (event.persisted) {  // back from the browser's cache, where nothing was heard
            window.location.reload();
        }
    });
})();
