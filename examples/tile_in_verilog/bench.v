// Multiplies a layer on a tile and compares every sum, with the exported files alone (README.md).
module bench;
  // From tile.json: widths of ports, and what the words of the images count.
  parameter WEIGHT_BITS = 64;      // i_weight_weights
  parameter ACTIVATION_BITS = 64;  // i_activations
  parameter SUM_BITS = 96;         // i_partial_sums and o_partial_sums
  parameter ACCUMULATOR_BITS = 24;
  parameter ROWS = 2;              // words of a weight set
  parameter K_BLOCKS = 3;
  parameter N_BLOCKS = 5;
  parameter VECTORS = 40;
  localparam PASSES = K_BLOCKS * N_BLOCKS;

  reg [WEIGHT_BITS-1:0] weights[0:PASSES*ROWS-1];
  reg [SUM_BITS-1:0] biases[0:N_BLOCKS-1];
  reg [ACTIVATION_BITS-1:0] activations[0:K_BLOCKS*VECTORS-1];
  reg [SUM_BITS-1:0] expected[0:N_BLOCKS*VECTORS-1];

  initial begin
    $readmemh("tile.weights.hex", weights);
    $readmemh("tile.biases.hex", biases);
    $readmemh("tile.activations.hex", activations);
    $readmemh("tile.expected.hex", expected);
  end

  reg clk = 0;
  reg rst = 1;
  always #5 clk = ~clk;
  initial #20 rst = 0;

  // Weights: row after row; the tile takes a set when it has room for it.
  integer row = 0;
  wire i_weight_valid = !rst && row < PASSES * ROWS;
  wire i_weight_ready;
  always @(posedge clk) if (i_weight_valid && i_weight_ready) row <= row + 1;

  // Vectors: all blocks of N with a block of K, before the next block of K. Sums begin with the
  // biases, and go on with what came out for the block of K before.
  reg [SUM_BITS-1:0] sums[0:N_BLOCKS*VECTORS-1];
  integer sent = 0;
  integer received = 0;
  wire [31:0] place = sent % (N_BLOCKS * VECTORS);  // block of N and vector
  wire [31:0] k_block = sent / (N_BLOCKS * VECTORS);
  wire [31:0] vector = sent % VECTORS;
  wire is_first = k_block == 0;
  wire i_valid = !rst && sent < PASSES * VECTORS
      && (is_first || sent < received + N_BLOCKS * VECTORS);
  wire i_ready;
  always @(posedge clk) if (i_valid && i_ready) sent <= sent + 1;

  // Sums, taken in every other cycle or so.
  integer wrong = 0;
  integer right = 0;
  integer i;
  reg o_ready = 0;
  wire o_valid;
  wire [SUM_BITS-1:0] o_partial_sums;
  wire [31:0] done = received % (N_BLOCKS * VECTORS);
  always @(posedge clk) begin
    o_ready <= $random;
    if (o_valid && o_ready && !rst) begin
      sums[done] <= o_partial_sums;
      received <= received + 1;
      if (received >= (PASSES - N_BLOCKS) * VECTORS)
        for (i = 0; i < SUM_BITS; i = i + ACCUMULATOR_BITS)
          if (o_partial_sums[i+:ACCUMULATOR_BITS] === expected[done][i+:ACCUMULATOR_BITS])
            right = right + 1;
          else wrong = wrong + 1;
    end
    if (received == PASSES * VECTORS) begin
      $display("%0s: %0d sums are right, %0d wrong", wrong ? "FAILED" : "PASSED", right, wrong);
      $finish;
    end
  end

  initial begin
    #(1000 * PASSES * (VECTORS + ROWS + 100));
    $display("FAILED: only %0d of %0d sums have come", received, PASSES * VECTORS);
    $finish;
  end

  tile u_tile (
    .clk              (clk),
    .rst              (rst),
    .i_weight_weights (weights[row]),
    .i_weight_valid   (i_weight_valid),
    .i_weight_ready   (i_weight_ready),
    .i_activations    (activations[k_block*VECTORS+vector]),
    .i_partial_sums   (is_first ? biases[place/VECTORS] : sums[place]),
    .i_swap           (vector == 0),
    .i_valid          (i_valid),
    .i_ready          (i_ready),
    .o_partial_sums   (o_partial_sums),
    .o_valid          (o_valid),
    .o_ready          (o_ready)
  );
endmodule
