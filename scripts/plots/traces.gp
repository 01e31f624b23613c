# SPDX-License-Identifier: GPL-2.0
#
# gnuplot -c traces.gp POINTS_CSV IMAGE NAMES COLOURS POINTS LABELLED: draw the points of the
# case "traces" (see scripts/bench), a point for each contestant and trace. The names of the
# traces stand beside the points of the contestants LABELLED. Both axes are relative to the
# least possible cost of the trace; on a diagonal line, the cost is the same.

data = ARG1
names = ARG3
colours = ARG4
points = ARG5
labelled = ARG6

refault_seconds = 2

text_colour = "#404040"
faint_colour = "#8a8a8a"

set terminal pngcairo size 1000,760 font "DejaVu Sans,12"
set output ARG2
set datafile separator comma

set title "Cost of guests that follow a trace, relative to the best possible" font ",16" \
	textcolor rgb text_colour
set border 3 linecolor rgb faint_colour
set tics nomirror out textcolor rgb text_colour
set xlabel "cost of memory faulted in again" textcolor rgb text_colour
set ylabel "cost of memory that the host holds for nothing" textcolor rgb text_colour
set xrange [0 : 1.9]
set yrange [0 : 3.4]
set key top right spacing 1.4 reverse Left noenhanced textcolor rgb text_colour

optimum = 'column(5) / column(6)'
of(name) = strcol(1) eq name
again(name) = of(name) ? refault_seconds * column(3) / (@optimum) : NaN
held(name) = of(name) ? column(4) / (@optimum) : NaN

# Lines of equal cost; nothing is possible below 1.
array costs[6] = [1, 1.5, 2, 2.5, 3, 4]
do for [i = 1 : 6] {
	set label sprintf(i == 1 ? "best possible" : "%g", costs[i]) \
		at 0.02, (i == 1 ? 0.7 : costs[i] - 0.1) \
		textcolor rgb faint_colour font ",10"
}
plot costs[1] - x with lines linewidth 2 linecolor rgb faint_colour notitle, \
	for [i = 2 : 6] costs[i] - x with lines dashtype 2 linecolor rgb "#cccccc" notitle, \
	for [i = 1 : words(names)] data \
		using (again(word(names, i))):(held(word(names, i))) with points \
		pointsize 1.6 linewidth 2 pointtype int(word(points, i)) \
		linecolor rgb word(colours, i) title word(names, i), \
	for [i = 1 : words(labelled)] data \
		using (again(word(labelled, i))):(held(word(labelled, i))):2 with labels noenhanced \
		left offset 0.9,0 font ",9" textcolor rgb text_colour notitle
