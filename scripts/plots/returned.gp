# SPDX-License-Identifier: GPL-2.0
#
# gnuplot -c returned.gp SAMPLES IMAGE TITLE AERATOR BALLOON: draw the curves
# of samples.csv (see scripts/demo). AERATOR and BALLOON are the seconds to 99 %.

samples = ARG1
aerator_done = real(ARG4)
balloon_done = real(ARG5)

aerator_colour = "#1b6ca8"
aerator_area = "#d3e4f1"
balloon_colour = "#d9772b"
balloon_area = "#fbeadd"
text_colour = "#404040"
faint_colour = "#8a8a8a"

set terminal pngcairo size 1200,700 font "DejaVu Sans,13"
set output ARG2
set datafile separator comma

set title ARG3 noenhanced font ",17" textcolor rgb text_colour offset 0,0.6
set xlabel "seconds since the free" textcolor rgb text_colour offset 0,-0.4
set ylabel "host memory in use for the guest, MiB" \
	textcolor rgb text_colour offset -1,0
set border 3 linecolor rgb faint_colour
set tics nomirror out textcolor rgb text_colour
set xtics 5
set ytics 500
set grid ytics linetype 1 linecolor rgb "#e4e4e4"
set key top right spacing 1.5 reverse Left noenhanced textcolor rgb text_colour
set margins 12, 4, 4.5, 3.5

# A slow fill must not take the room of the curves after the free.
set xrange [-12 < * : *] noextend
set yrange [0 : *]
# Room above the curves for the two labels.
set offsets 0, 0, graph 0.16, 0

set arrow from 0, graph 0 to 0, graph 1 nohead linecolor rgb faint_colour \
	dashtype 2 front
set label "guest fills its memory  " at 0, graph 0.95 right \
	textcolor rgb faint_colour
set label "  guest frees it" at 0, graph 0.95 left textcolor rgb faint_colour

# Skip the rows of the other driver.
mib_of(driver) = strcol(1) eq driver ? $3 / 2**20 : NaN
since_free(driver) = $2 >= 0 ? mib_of(driver) : NaN
legend(driver, done) = sprintf("%s: 99 %% back after %.1f s", driver, done)

# The areas compare the memory that the host has in use after the free.
plot \
	samples skip 1 using 2:(since_free("virtio_balloon")) \
		with filledcurves y1=0 linecolor rgb balloon_area notitle, \
	samples skip 1 using 2:(since_free("aerator")) \
		with filledcurves y1=0 linecolor rgb aerator_area notitle, \
	samples skip 1 using 2:(mib_of("virtio_balloon")) with lines \
		linewidth 3 linecolor rgb balloon_colour \
		title legend("virtio_balloon", balloon_done), \
	samples skip 1 using 2:(mib_of("aerator")) with lines \
		linewidth 3 linecolor rgb aerator_colour \
		title legend("aerator", aerator_done)
