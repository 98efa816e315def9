module worker

go 1.19

require example.org/steadfast v0.0.0

replace example.org/steadfast => ../../../../bindings/go
