// What mac and dot do with their streams, whatever their products are.
// The comment before an assertion is its claim. A port …_next is what the port will be after the
// edge of the clock.
module properties #(
  parameter LATENCY = 2,
  parameter CARRY_SAVE = 0,
  parameter O_SUM_BITS = 1,
  parameter REGISTERS_BITS = 1
) (
  input clk,
  input rst,
  input i_valid,
  input i_ready,
  input i_last,
  input o_valid,
  input o_valid_next,
  input o_ready,
  input [O_SUM_BITS-1:0] o_sum,
  input [O_SUM_BITS-1:0] o_sum_next,
  input [REGISTERS_BITS-1:0] registers,  // all of the netlist
  input [REGISTERS_BITS-1:0] registers_next
);
  wire moves = !o_valid || o_ready;  // No result waits to be taken.
  wire taken = i_valid && i_ready;

  // Bit i: whether a transfer, and the last of a sum, was i + 1 moves ago.
  reg [LATENCY-1:0] transfers, ends;
  always @(posedge clk)
    if (rst) {transfers, ends} <= 0;
    else if (moves) begin
      transfers <= {transfers, taken};
      ends <= {ends, taken && i_last};
    end

  // With the move before the last the sum takes a transfer; in carry-save form, all up to an end.
  wire sums = moves && (CARRY_SAVE ? ends[LATENCY-2] : transfers[LATENCY-2]);

  reg begun = 0;
  always @(posedge clk) begun <= 1;
  always @* assume (begun || rst);

  always @*
    if (begun) begin
      // i_ready must be high unless a result waits
      ready: assert (i_ready == moves);
      // each last transfer must give one result, LATENCY moves later
      results: assert (o_valid == ends[LATENCY-1]);
      // a result must stay as it is until it is taken
      waits: assert (rst || moves || (o_valid_next && o_sum_next == o_sum));
      // nothing must change while a result waits
      holds: assert (rst || moves || registers_next == registers);
      // the sum must stay as it is without a transfer
      sum: assert (rst || sums || o_sum_next == o_sum);
    end
endmodule
