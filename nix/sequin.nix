# Sequin ships as a container image only. Its digest is the one thing that has to be trusted.
{ fetchOci }:
fetchOci {
  name = "sequin/sequin";
  tag = "v0.14.6";
  digest = "sha256:336759c1c632ebdc87939bcea70b26b46df6593e666088e1bf29058209437d3e";
  lockFile = ./sequin.lock.json;
}
