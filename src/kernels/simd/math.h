#pragma once
#include "kernels/simd/inline.h"

// exp, tanh and what is made of them, over a SIMD type S (README.md, "Elementary functions",
// derives the errors).
namespace pie::kernels {
namespace {

/// exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln(2) / 2, exp(r) = 1 + r + r^2 P(r), P of
/// degree 4 by a Chebyshev fit (error of P 6.6e-8, of exp(r) 8e-9). Below -87.33 zero; above 88.37
/// its value there; NaN stays.
template <class S>
PIE_INLINE typename S::F exp(typename S::F x) {
  using F = typename S::F;
  const F lowest = S::set1(-87.33F);
  const F clamped = S::min(S::set1(88.37F), S::max(lowest, x));  // order: NaN passes
  const F n = S::round(S::mul(clamped, S::set1(1.44269504F)));
  // ln 2 = 0.693359375 (9 bits: n times it is exact) - 0.000212194440
  F r = S::fma(n, S::set1(-0.693359375F), clamped);
  r = S::fma(n, S::set1(2.12194440054690583e-4F), r);
  F p = S::set1(0.00139262508F);
  p = S::fma(p, r, S::set1(0.00836323288F));
  p = S::fma(p, r, S::set1(0.0416665542F));
  p = S::fma(p, r, S::set1(0.166665767F));
  p = S::fma(p, r, S::set1(0.5F));
  p = S::fma(S::mul(r, r), p, r);
  p = S::add(p, S::set1(1.0F));
  return S::select_less(x, lowest, S::zero(), S::times_power_of_2(p, n));
}

/// tanh(x): for |x| < 0.625 x + x^3 Q(x^2), Q of degree 4 by a Chebyshev fit, else by exp.
template <class S>
PIE_INLINE typename S::F tanh(typename S::F x) {
  using F = typename S::F;
  const F magnitude = S::abs(x);
  const F z = S::mul(x, x);
  F q = S::set1(-0.00609671361F);
  q = S::fma(q, z, S::set1(0.0209971786F));
  q = S::fma(q, z, S::set1(-0.0538509095F));
  q = S::fma(q, z, S::set1(0.133327697F));
  q = S::fma(q, z, S::set1(-0.333333289F));
  const F small = S::fma(S::mul(x, z), q, x);
  const F e = exp<S>(S::mul(magnitude, S::set1(-2.0F)));
  const F one = S::set1(1.0F);
  const F large = S::copy_sign(S::div(S::sub(one, e), S::add(one, e)), x);
  return S::select_less(magnitude, S::set1(0.625F), small, large);
}

/// a / (1 + exp(-t)) with exponents that never grow: e = exp(-|t|), and a e / (1 + e) for t < 0.
template <class S>
PIE_INLINE typename S::F times_sigmoid(typename S::F a, typename S::F t) {
  using F = typename S::F;
  const F e = exp<S>(S::negate(S::abs(t)));
  const F numerator = S::select_less(t, S::zero(), S::mul(a, e), a);
  return S::div(numerator, S::add(S::set1(1.0F), e));
}

template <class S>
PIE_INLINE typename S::F silu(typename S::F a) {
  return times_sigmoid<S>(a, a);
}

/// The tanh formula of GELU: a / (1 + exp(-2u)), u = sqrt(2 / pi) (a + 0.044715 a^3).
template <class S>
PIE_INLINE typename S::F gelu(typename S::F a) {
  using F = typename S::F;
  const F cubic = S::fma(S::mul(a, a), S::set1(0.044715F), S::set1(1.0F));
  const F twice_u = S::mul(S::mul(a, S::set1(1.59576912F)), cubic);
  return times_sigmoid<S>(a, twice_u);
}

}  // namespace
}  // namespace pie::kernels
