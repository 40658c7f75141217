// What tile does with its streams and its weight sets, whatever its products are.
// The comment before an assertion is its claim. A port …_next is what the port will be after the
// edge of the clock.
module properties #(
  parameter LATENCY = 2,
  parameter DOUBLE_BUFFERED = 1,
  parameter ROWS = 1,
  parameter COLUMNS = 1,
  parameter OPERAND_REGISTER = 0,
  parameter ROWS_LOADED_BITS = 1,
  parameter O_PARTIAL_SUMS_BITS = 1,
  parameter REGISTERS_BITS = 1
) (
  input clk,
  input rst,
  input i_weight_valid,
  input i_weight_ready,
  input i_valid,
  input i_ready,
  input i_swap,
  input o_valid,
  input o_valid_next,
  input o_ready,
  input [O_PARTIAL_SUMS_BITS-1:0] o_partial_sums,
  input [O_PARTIAL_SUMS_BITS-1:0] o_partial_sums_next,
  input [ROWS_LOADED_BITS-1:0] rows_loaded,   // as the netlist counts them
  input swapping_now = 0,  // a single set has none
  input [REGISTERS_BITS-1:0] registers,  // all of the netlist
  input [REGISTERS_BITS-1:0] registers_next
);
  wire moves = !o_valid || o_ready;  // No result waits to be taken.
  wire taken = i_valid && i_ready;
  wire row = i_weight_valid && i_weight_ready;

  // Bit i: whether a vector, and one that swaps, was i + 1 moves ago.
  reg [LATENCY-1:0] vectors, swaps;
  always @(posedge clk)
    if (rst) {vectors, swaps} <= 0;
    else if (moves) begin
      vectors <= {vectors, taken};
      swaps <= {swaps, taken && i_swap};
    end

  // Rows of the set that the next swap will take.
  reg [ROWS_LOADED_BITS-1:0] loaded;
  always @(posedge clk)
    if (rst || (taken && i_swap)) loaded <= 0;
    else loaded <= loaded + row;

  // A swap passes the elements for so many moves, and the last of them takes it with the next.
  localparam PASSING = ROWS + COLUMNS - 2 + OPERAND_REGISTER;
  wire complete = loaded == ROWS;
  wire swapping = DOUBLE_BUFFERED && |(swaps << (LATENCY - PASSING));
  // A single set is loaded for the vector that waits for it, when nothing is multiplied any more.
  wire loadable = DOUBLE_BUFFERED ? !swapping : i_valid && i_swap && vectors == 0;

  reg begun = 0;
  always @(posedge clk) begun <= 1;
  always @* assume (begun || rst);

  always @*
    if (begun) begin
      // each vector must give one result, LATENCY moves later
      results: assert (o_valid == vectors[LATENCY-1]);
      // a vector must be taken when nothing waits, one that swaps when its set is complete
      ready: assert (i_ready == (moves && (!i_swap || (complete && !swapping))));
      // rows must be taken until a set waits, and unless weights are in use that they would overwrite
      rows: assert (i_weight_ready == (!complete && loadable));
      // no set must be taken by two swaps
      once: assert (!(taken && i_swap) || (complete && !swapping));
      // a result must stay as it is until it is taken
      waits: assert (rst || moves || (o_valid_next && o_partial_sums_next == o_partial_sums));
      // nothing must change while a result waits, unless a row comes
      holds: assert (rst || moves || row || registers_next == registers);
      // rows must be counted
      count: assert (rows_loaded == (swapping ? ROWS : loaded) && swapping_now == swapping);
    end
endmodule
