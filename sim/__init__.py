"""RTL simulation: three simulators behind one interface, benches and workloads."""
