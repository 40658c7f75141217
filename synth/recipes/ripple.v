// Carries of Yosys' adders one after the other, as full adders make them, in place of look-ahead.
// The name comes before _90_lcu of Yosys' own techmap.v.
(* techmap_celltype = "$lcu" *)
module _80_ripple (P, G, CI, CO);
  parameter WIDTH = 1;
  input [WIDTH-1:0] P, G;
  input CI;
  output [WIDTH-1:0] CO;
  wire [WIDTH:0] carry;
  assign carry[0] = CI;
  assign CO = carry[WIDTH:1];
  genvar i;
  generate for (i = 0; i < WIDTH; i = i + 1) begin : bits
    assign carry[i + 1] = G[i] | (P[i] & carry[i]);
  end endgenerate
endmodule
