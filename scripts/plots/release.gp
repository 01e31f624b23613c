# SPDX-License-Identifier: GPL-2.0
#
# gnuplot -c release.gp CURVES IMAGE NAMES COLOURS POINTS ROUNDS: draw curves.csv
# of the case "release" (see scripts/bench) with a line for each contestant and round.

curves = ARG1
names = ARG3
colours = ARG4
rounds = int(ARG6)

text_colour = "#404040"
faint_colour = "#8a8a8a"

set terminal pngcairo size 1200,700 font "DejaVu Sans,13"
set output ARG2
set datafile separator comma

set title "Memory that a guest freed, on its way back to the host" \
	font ",17" textcolor rgb text_colour offset 0,0.6
set xlabel "seconds since the free" textcolor rgb text_colour offset 0,-0.4
set ylabel "host memory in use for the guest, MiB" \
	textcolor rgb text_colour offset -1,0
set border 3 linecolor rgb faint_colour
set tics nomirror out textcolor rgb text_colour
set xtics 2
set ytics 500
set grid ytics linetype 1 linecolor rgb "#e4e4e4"
set key top right spacing 1.4 reverse Left noenhanced textcolor rgb text_colour
set margins 12, 4, 4.5, 3.5
set xrange [-1 : 18]
set yrange [0 : *]

# Skip the rows of other contestants.
mib(name, round) = strcol(1) eq name && $2 == round ? $5 : NaN

plot for [round = 1 : rounds] for [i = 1 : words(names)] \
	curves using 4:(mib(word(names, i), round)) with lines linewidth 2 \
	linecolor rgb word(colours, i) title round == 1 ? word(names, i) : ""
