module example.org/steadfast

go 1.19
