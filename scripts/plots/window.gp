# SPDX-License-Identifier: GPL-2.0
#
# gnuplot -c window.gp POINTS_CSV IMAGE NAMES COLOURS POINTS GAP: draw the points of the
# case "window" (see scripts/bench) for one gap: the guest's cost above, the time until the
# host has the memory back below. A horizontal line is a contestant without a window.

data = ARG1
names = ARG3
colours = ARG4
points = ARG5
gap = ARG6

text_colour = "#404040"
faint_colour = "#8a8a8a"
longest_ms = 4200

set terminal pngcairo size 1200,900 font "DejaVu Sans,12"
set output ARG2
set datafile separator comma

set border 3 linecolor rgb faint_colour
set tics nomirror out textcolor rgb text_colour
set grid linetype 1 linecolor rgb "#ececec"
set xlabel "window_ms" noenhanced textcolor rgb text_colour
set xrange [0 : longest_ms]
set yrange [0 : *]
set offsets 0, 0, graph 0.08, 0
set lmargin 12
set key outside right top spacing 1.4 reverse Left noenhanced textcolor rgb text_colour

of(name) = strcol(1) eq name && strcol(2)[1 : strlen(gap)] eq gap
with_window(name, value) = of(name) ? value : NaN
# The value of a contestant without a window is the same for all windows.
without(name, value) = of(name) && strcol(3) eq "NaN" ? value : NaN

set multiplot layout 2, 1 title sprintf("512 MiB touched and freed, over and over: %s", gap) \
	font ",17" textcolor rgb text_colour
do for [panel = 4 : 5] {
	set ylabel panel == 4 ? "MiB to fault in again, a round" \
		: "s until 90 % of the last free is back" textcolor rgb text_colour
	# The line at 0 is for a panel of what never happened, which has no point.
	plot 0 with lines linecolor rgb faint_colour notitle, \
	for [i = 1 : words(names)] data \
		using 3:(with_window(word(names, i), column(panel))) with linespoints \
		pointsize 1.5 linewidth 2 pointtype int(word(points, i)) \
		linecolor rgb word(colours, i) title word(names, i), \
	for [i = 1 : words(names)] data \
		using (0):(without(word(names, i), column(panel))):(longest_ms):(0) \
		with vectors nohead dashtype 2 linewidth 2 linecolor rgb word(colours, i) \
		notitle
}
unset multiplot
