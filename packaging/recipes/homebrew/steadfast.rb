# Not tried: brew cannot be had where this was written, and the library has never run on a Mac.
class Steadfast < Formula
  desc "State files that survive a crash, lock files that survive their owner"
  homepage "https://example.invalid/steadfast"
  # Where the release is published, and its sum in SHA256SUMS, whoever publishes it says.
  url "https://example.invalid/steadfast-0.1.0.tar.gz"
  version "0.1.0"
  license any_of: ["MIT", "Apache-2.0"]

  depends_on "rust" => :build

  def install
    system "make", "install", "PREFIX=#{prefix}"
  end

  test do
    (testpath/"test.c").write <<~C
      #include <steadfast.h>
      int main(void) { return steadfast_state_save(0, "state", "hello", 5, 0, 0); }
    C
    system ENV.cc, "test.c", "-I#{include}", "-L#{lib}", "-lsteadfast", "-o", "test"
    system "./test"
    assert_equal "hello", shell_output("#{bin}/steadfast load state")
  end
end
