# Not tried: nix cannot be had where this was written. For nixpkgs' callPackage.
{
  lib,
  stdenv,
  rustPlatform,
  cargo,
  rustc,
  src ? ./../../..,
}:

stdenv.mkDerivation {
  pname = "steadfast";
  version = "0.1.0";
  inherit src;

  cargoDeps = rustPlatform.importCargoLock { lockFile = src + "/Cargo.lock"; };
  nativeBuildInputs = [
    rustPlatform.cargoSetupHook
    cargo
    rustc
  ];
  makeFlags = [ "PREFIX=${placeholder "out"}" ];
  doInstallCheck = true;
  installCheckPhase = "$out/bin/steadfast --version";

  meta = {
    description = "State files that survive a crash, lock files that survive their owner";
    license = with lib.licenses; [
      mit
      asl20
    ];
    platforms = lib.platforms.linux;
    mainProgram = "steadfast";
  };
}
