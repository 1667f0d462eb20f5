"use strict";

// Tables: a click on a header sorts by its column, a second one the other way round.
for (const table of document.querySelectorAll("table.results")) {
    const headers = [...table.tHead.rows[0].cells];
    headers.forEach((header, column) => header.querySelector("button").addEventListener("click", () => {
        const isRising = header.getAttribute("aria-sort") !== "ascending";
        headers.forEach((other) => other.removeAttribute("aria-sort"));
        header.setAttribute("aria-sort", isRising ? "ascending" : "descending");
        const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
        const compare = (first, second) => {
            const [a, b] = [key(first), key(second)];
            // What is not known comes last either way.
            if (a === "" || b === "") return (a === "") - (b === "");
            const [x, y] = [Number(a), Number(b)];
            const order = Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y;
            return isRising ? order : -order;
        };
        const body = table.tBodies[0];
        body.append(...[...body.rows].sort(compare));
    }));
}

// Curves: uPlot draws them; a click on a name in the legend switches a curve on and off.
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const charts = [];
// Paper is white, whatever the screen is.
let isPrinting = false;
const ink = () => (isPrinting ? "#000" : style("--ink"));
const line = () => (isPrinting ? "#ccc" : style("--line"));

function drawn(place, curve) {
    const colour = (series) => () => series.colour ?? ink();
    const shown = (number) => (number == null ? "–" : Number(number.toPrecision(4)).toString());
    const axis = (label, side) => ({
        label, labelSize: 24, labelFont: "13px system-ui, sans-serif", stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, ...side,
    });
    const fill = (chart) => {
        const context = chart.ctx;
        context.save();
        curve.series.forEach((series, index) => {
            if (!series.low || !chart.series[index + 1].show) return;
            const at = (value, scale) => chart.valToPos(value, scale, true);
            const points = curve.x.map((x, place) => [x, series.low[place], series.high[place]]);
            const known = points.filter(([, low]) => low != null);
            context.beginPath();
            known.forEach(([x, low]) => context.lineTo(at(x, "x"), at(low, "y")));
            known.reverse().forEach(([x, , high]) => context.lineTo(at(x, "x"), at(high, "y")));
            context.globalAlpha = 0.2;
            context.fillStyle = colour(series)();
            context.fill();
        });
        context.restore();
    };
    // From zero to what is shown, with its bands.
    const range = (chart) => {
        let most = 0;
        curve.series.forEach((series, index) => {
            if (chart.series[index + 1].show) {
                most = Math.max(most, ...series.y.filter(Number.isFinite), ...(series.high ?? []).filter(Number.isFinite));
            }
        });
        return [0, most > 0 ? most * 1.05 : 1];
    };
    const options = {
        width: place.clientWidth,
        height: Math.max(260, Math.round(place.clientWidth * 0.42)),
        scales: { x: { time: false, ...(curve.log ? { distr: 3, log: curve.log } : {}) }, y: { range } },
        axes: [axis(curve.x_title), axis(curve.y_title, { size: 70 })],
        series: [
            { label: curve.x_title, value: (_, value) => shown(value) },
            ...curve.series.map((series) => ({
                label: series.name, stroke: colour(series), width: 2, dash: series.dash, spanGaps: true,
                value: (_, value) => shown(value),
                points: { show: curve.x.length <= 60, fill: colour(series), size: 6 },
            })),
        ],
        legend: {
            markers: { width: 3, stroke: (_, index) => (index ? curve.series[index - 1].colour ?? "var(--ink)" : "") },
        },
        hooks: { drawAxes: [fill] },
    };
    const chart = new uPlot(options, [curve.x, ...curve.series.map((series) => series.y)], place);
    charts.push({ chart, place });
}

JSON.parse(document.getElementById("curves").textContent).forEach((curve, index) => {
    drawn(document.getElementById(`curve-${index}`), curve);
});

const redraw = () => charts.forEach(({ chart }) => chart.redraw(false, true));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("resize", () => charts.forEach(({ chart, place }) => {
    chart.setSize({ width: place.clientWidth, height: chart.height });
}));
addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((details) => { details.open = true; });
    isPrinting = true;
    redraw();
});
addEventListener("afterprint", () => { isPrinting = false; redraw(); });
