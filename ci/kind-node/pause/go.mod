module seatrial/pause

go 1.24.0
