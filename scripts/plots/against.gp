# SPDX-License-Identifier: GPL-2.0
#
# gnuplot -c against.gp POINTS_CSV IMAGE NAMES COLOURS POINTS TITLE X_LABEL LABELS:
# draw the points of a case (see scripts/bench) over its third column. Each of the columns
# that follow has a panel, with one of LABELS.

data = ARG1
names = ARG3
colours = ARG4
points = ARG5
labels = ARG8

text_colour = "#404040"
faint_colour = "#8a8a8a"

set terminal pngcairo size 1200,900 font "DejaVu Sans,12"
set output ARG2
set datafile separator comma

set border 3 linecolor rgb faint_colour
set tics nomirror out textcolor rgb text_colour
set grid linetype 1 linecolor rgb "#ececec"
set xlabel ARG7 textcolor rgb text_colour
set xrange [0 : *]
set yrange [0 : *]
set offsets 0, graph 0.04, graph 0.08, 0
set lmargin 12
set key outside right top spacing 1.4 reverse Left noenhanced textcolor rgb text_colour

# Skip the rows of other contestants.
of(name, value) = strcol(1) eq name ? value : NaN

set multiplot layout words(labels), 1 title ARG6 font ",17" textcolor rgb text_colour
do for [panel = 1 : words(labels)] {
	set ylabel word(labels, panel) textcolor rgb text_colour
	# The line at 0 is for a panel of what never happened, which has no point.
	plot 0 with lines linecolor rgb faint_colour notitle, \
	for [i = 1 : words(names)] data \
		using 3:(of(word(names, i), column(3 + panel))) with linespoints \
		pointsize 1.5 linewidth 2 pointtype int(word(points, i)) \
		linecolor rgb word(colours, i) title word(names, i)
}
unset multiplot
