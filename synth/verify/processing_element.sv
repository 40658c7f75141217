// What pe and fused do beside products and sums.
// The comment before an assertion is its claim. A port …_next is what the port will be after the
// edge of the clock.
module properties #(
  parameter LATENCY = 2,
  parameter OPERAND_REGISTER = 0,
  parameter DOUBLE_BUFFERED = 1,
  parameter I_WEIGHTS_BITS = 1,
  parameter USED_INT8_BITS = 1,
  parameter I_ACTIVATIONS_BITS = 1,
  parameter O_PARTIAL_SUMS_BITS = 1,
  parameter REGISTERS_BITS = 1
) (
  input clk,
  input rst,
  input enable,
  input load,
  input [I_WEIGHTS_BITS-1:0] i_weights,
  input [I_WEIGHTS_BITS-1:0] o_weights,
  input [I_WEIGHTS_BITS-1:0] o_weights_next,
  input i_int8 = 0,  // the mode of fused; pe has none
  input o_int8 = 0,
  input o_int8_next = 0,
  input i_valid,
  input o_valid,
  input o_valid_next,
  input i_swap,
  input o_swap,
  input o_swap_next,
  input [I_ACTIVATIONS_BITS-1:0] i_activations,
  input [I_ACTIVATIONS_BITS-1:0] o_activations,
  input [I_ACTIVATIONS_BITS-1:0] o_activations_next,
  input [O_PARTIAL_SUMS_BITS-1:0] o_partial_sums,
  input [O_PARTIAL_SUMS_BITS-1:0] o_partial_sums_next,
  input [I_WEIGHTS_BITS-1:0] used_weights,  // of the inner products
  input [I_WEIGHTS_BITS-1:0] used_weights_next,
  input [USED_INT8_BITS-1:0] used_int8 = 0,
  input [USED_INT8_BITS-1:0] used_int8_next = 0,
  input [REGISTERS_BITS-1:0] registers,     // all of the netlist
  input [REGISTERS_BITS-1:0] registers_next
);
  wire vector = enable && i_valid;
  wire swaps = OPERAND_REGISTER ? enable && o_valid && o_swap : vector && i_swap;

  // The mode belongs to the weights.
  wire [I_WEIGHTS_BITS:0] loaded = {o_int8, o_weights};
  wire [I_WEIGHTS_BITS:0] loaded_next = {o_int8_next, o_weights_next};
  wire [USED_INT8_BITS+I_WEIGHTS_BITS-1:0] used_now = {used_int8, used_weights};
  wire [USED_INT8_BITS+I_WEIGHTS_BITS-1:0] used_next = {used_int8_next, used_weights_next};

  // Bit i: whether a vector was i + 1 enabled cycles ago; before the first reset, it may have been.
  reg [LATENCY-1:0] older = -1;
  wire [LATENCY-1:0] vectors = {older, o_valid};
  always @(posedge clk)
    if (rst) older <= 0;
    else if (enable) older <= vectors;

  wire sums = enable && vectors[LATENCY-2];

  reg begun = 0;
  always @(posedge clk) begun <= 1;
  always @* assume (begun || rst);

  always @* begin
    // o_valid must follow i_valid with enable
    valid: assert (o_valid_next == (!rst && (enable ? i_valid : o_valid)));
    // o_activations must follow i_activations with a vector
    activations: assert (o_activations_next == (vector ? i_activations : o_activations));
    // o_swap must follow i_swap with a vector
    swap: assert (o_swap_next == (vector ? i_swap : o_swap));
    // weights must shift with load
    shift: assert (loaded_next == (load ? {i_int8, i_weights} : loaded));
    if (DOUBLE_BUFFERED) begin
      // weights in use must change with a swap
      used: assert (used_next == (swaps ? {{USED_INT8_BITS{o_int8}}, o_weights} : used_now));
    end else begin
      // weights in use must be those that were loaded
      single: assert (used_weights == o_weights);
    end
    // partial sums must stay as they are without a vector
    sum: assert (sums || o_partial_sums_next == o_partial_sums);
    // nothing must change without enable and load
    holds: assert (rst || enable || load || registers_next == registers);
  end
endmodule
