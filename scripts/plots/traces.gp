# SPDX-License-Identifier: GPL-2.0
#
# gnuplot -c traces.gp POINTS_CSV IMAGE NAMES COLOURS POINTS VARIANTS: draw the points
# of the case "traces" (see scripts/bench). A panel for each trace, a point for each
# contestant; faint lines connect points of equal cost.

data = ARG1
names = ARG3
colours = ARG4
points = ARG5
variants = ARG6

refault_seconds = 2

text_colour = "#404040"
faint_colour = "#8a8a8a"

set terminal pngcairo size 1200,900 font "DejaVu Sans,12"
set output ARG2
set datafile separator comma

set border 3 linecolor rgb faint_colour
set tics nomirror out textcolor rgb text_colour
set xlabel "GiB faulted in again" textcolor rgb text_colour
set ylabel "GiB*s held for nothing" textcolor rgb text_colour
set xrange [0 : *]
set yrange [0 : *]
set offsets 0, graph 0.1, graph 0.1, 0
set key outside right top spacing 1.3 reverse Left noenhanced textcolor rgb text_colour

of(name, variant, value) = \
	strcol(1) eq name && strcol(2) eq variant ? value : NaN

set multiplot layout 2, int((words(variants) + 1) / 2) \
	title "Cost of guests that follow a trace" font ",17" textcolor rgb text_colour
do for [panel = 1 : words(variants)] {
	set title word(variants, panel) noenhanced textcolor rgb text_colour
	plot for [cost = 10 : 200 : 10] cost - refault_seconds * x with lines \
		linecolor rgb "#ececec" notitle, \
	for [i = 1 : words(names)] data \
		using (of(word(names, i), word(variants, panel), column(3))):4 with points \
		pointsize 1.6 pointtype int(word(points, i)) \
		linecolor rgb word(colours, i) title word(names, i)
}
unset multiplot
