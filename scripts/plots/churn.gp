# SPDX-License-Identifier: GPL-2.0
#
# gnuplot -c churn.gp POINTS_CSV IMAGE NAMES COLOURS POINTS VARIANTS COLUMN LABEL:
# draw the points of the case "churn" (see scripts/bench). A panel for each gap: x is the
# host's memory in use for the guest, y is the guest's cost (COLUMN, LABEL).

data = ARG1
names = ARG3
colours = ARG4
points = ARG5
variants = ARG6
paid_column = int(ARG7)

text_colour = "#404040"
faint_colour = "#8a8a8a"

set terminal pngcairo size 1500,900 font "DejaVu Sans,12"
set output ARG2
set datafile separator comma

set border 3 linecolor rgb faint_colour
set tics nomirror out textcolor rgb text_colour
set grid linetype 1 linecolor rgb "#ececec"
set xrange [0 : *]
set yrange [0 : *]
set offsets 0, graph 0.08, graph 0.08, 0

paid(name, variant) = strcol(1) eq name && strcol(2) eq variant ? column(paid_column) : NaN

set multiplot layout 2, 3 margins 0.06, 0.98, 0.08, 0.88 spacing 0.06, 0.17 \
	title "512 MiB touched and freed, over and over: bottom left is best" \
	font ",17" textcolor rgb text_colour
unset key
do for [j = 1 : words(variants)] {
	set title word(variants, j) font ",14" textcolor rgb text_colour
	set xlabel "GiB that the host holds, on average" textcolor rgb text_colour
	set ylabel ARG8 textcolor rgb text_colour
	plot for [i = 1 : words(names)] data \
		using 3:(paid(word(names, i), word(variants, j))) with points \
		pointsize 2 linewidth 2 pointtype int(word(points, i)) \
		linecolor rgb word(colours, i)
}

# The last panel is the legend.
unset border
unset tics
unset grid
unset title
unset xlabel
unset ylabel
unset offsets
set xrange [0 : 1]
set yrange [0 : 1]
set key center center vertical maxrows 10 spacing 1.4 reverse Left noenhanced textcolor rgb text_colour
plot for [i = 1 : words(names)] NaN with points pointsize 2 linewidth 2 \
	pointtype int(word(points, i)) linecolor rgb word(colours, i) title word(names, i)
unset multiplot
