/* The passes over activations that a training step makes between its matrix products, one function each, over bfloat16.

   What torch does in three to eight passes, each with its own roundings, is one here: numbers are widened, computed in
   float32 and rounded once. Each function works on one thread; matrices have their columns side by side and a stride from row
   to row, in numbers. Plain C that compilers turn into vector instructions; `fused.py` compiles it and says what is what. */

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef uint16_t bf16;
typedef int64_t size;

#define LANES 16 /* floats that are computed at once */
#define USUAL 64 /* numbers of a head, for which loops of that length are made */

static inline float wide(bf16 x) {
    union { uint32_t bits; float value; } v = { (uint32_t)x << 16 };
    return v.value;
}

/* To the nearest, ties to even. The NaNs that arithmetic makes, and widened ones, stay NaN. */
static inline bf16 narrow(float x) {
    union { float value; uint32_t bits; } v = { x };
    return (bf16)((v.bits + 0x7fffu + ((v.bits >> 16) & 1u)) >> 16);
}

/* e^x to a hundred thousandth, far below bfloat16's rounding; x is held between -80 and 88: less would make
   denormal numbers, which cost a hundred times the others. Taylor's terms around the nearest power of two. */
static inline float exponential(float x) {
    x = x < -80.0f ? -80.0f : x;
    x = x > 88.0f ? 88.0f : x;
    float n = rintf(x * 1.44269504f);
    float r = x - n * 0.69314718f;
    float p = 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    union { int32_t bits; float value; } power = { ((int32_t)n + 127) << 23 };
    return p * power.value;
}

/* out = x / rms(x) * w, rstd = 1 / rms; where y is given, x += y first. */
void norm_forward(bf16 *x, size x_stride, const bf16 *y, size y_stride, const float *w, float eps, bf16 *out, size out_stride,
                  float *rstd, size m, size d) {
    float row[d];
    for (size i = 0; i < m; i++, x += x_stride, out += out_stride) {
        float sum = 0.0f;
        if (y) {
            for (size j = 0; j < d; j++) {
                bf16 both = narrow(wide(x[j]) + wide(y[j]));
                x[j] = both;
                row[j] = wide(both);
            }
            y += y_stride;
        } else {
            for (size j = 0; j < d; j++) row[j] = wide(x[j]);
        }
        for (size j = 0; j < d; j++) sum += row[j] * row[j];
        float r = 1.0f / sqrtf(sum / (float)d + eps);
        rstd[i] = r;
        for (size j = 0; j < d; j++) out[j] = narrow(row[j] * r * w[j]);
    }
}

/* g += rstd * (gy * w) - x * rstd^3 * mean(gy * w * x). */
void norm_backward(const bf16 *gy, size gy_stride, const bf16 *x, size x_stride, const float *rstd, const float *w, bf16 *g,
                   size g_stride, size m, size d) {
    float row[d];
    for (size i = 0; i < m; i++, gy += gy_stride, x += x_stride, g += g_stride) {
        float sum = 0.0f, r = rstd[i];
        for (size j = 0; j < d; j++) row[j] = wide(gy[j]) * w[j];
        for (size j = 0; j < d; j++) sum += row[j] * wide(x[j]);
        float along = -r * r * r * (sum / (float)d);
        for (size j = 0; j < d; j++) g[j] = narrow(wide(g[j]) + row[j] * r + wide(x[j]) * along);
    }
}

/* a = silu(gate) * up, from rows that hold f gates and f ups. */
void swiglu_forward(const bf16 *restrict gu, size gu_stride, bf16 *restrict a, size a_stride, size m, size f) {
    for (size i = 0; i < m; i++, gu += gu_stride, a += a_stride)
        for (size j = 0; j < f; j++) {
            float gate = wide(gu[j]);
            a[j] = narrow(gate / (1.0f + exponential(-gate)) * wide(gu[f + j]));
        }
}

/* Gradients of gates and ups, side by side in ggu, from those of a. */
void swiglu_backward(const bf16 *restrict ga, size ga_stride, const bf16 *restrict gu, size gu_stride, bf16 *restrict ggu,
                     size ggu_stride, size m, size f) {
    for (size i = 0; i < m; i++, ga += ga_stride, gu += gu_stride, ggu += ggu_stride)
        for (size j = 0; j < f; j++) {
            float gate = wide(gu[j]), up = wide(gu[f + j]), g = wide(ga[j]);
            float sigmoid = 1.0f / (1.0f + exponential(-gate));
            ggu[j] = narrow(g * up * sigmoid * (1.0f + gate * (1.0f - sigmoid)));
            ggu[f + j] = narrow(g * gate * sigmoid);
        }
}

/* In place: n rows of t scores times `scale` become probabilities; row r attends to the first r % t + 1 of them. */
void softmax_forward(bf16 *p, float scale, size n, size t) {
    float row[t + LANES];
    for (size i = 0, seen = 1; i < n; i++, p += t, seen = seen < t ? seen + 1 : 1) {
        size whole = (seen + LANES - 1) / LANES * LANES; /* vectors have no ragged end */
        size held = whole < t ? whole : t;
        float top = -INFINITY, sum = 0.0f;
        for (size j = 0; j < held; j++) row[j] = wide(p[j]) * scale;
        for (size j = seen; j < whole; j++) row[j] = -INFINITY;
#pragma omp simd reduction(max : top)
        for (size j = 0; j < whole; j++) top = row[j] > top ? row[j] : top;
        for (size j = 0; j < whole; j++) {
            row[j] = exponential(row[j] - top);
            sum += row[j];
        }
        float share = 1.0f / sum;
        for (size j = 0; j < held; j++) p[j] = narrow(row[j] * share);
        memset(p + seen, 0, (size_t)(t - seen) * sizeof(bf16));
    }
}

/* In place: g becomes p * (g - sum(g * p)). */
void softmax_backward(bf16 *g, const bf16 *p, size n, size t) {
    for (size i = 0, seen = 1; i < n; i++, g += t, p += t, seen = seen < t ? seen + 1 : 1) {
        float sum = 0.0f;
        for (size j = 0; j < seen; j++) sum += wide(g[j]) * wide(p[j]);
        for (size j = 0; j < seen; j++) g[j] = narrow(wide(p[j]) * (wide(g[j]) - sum));
        memset(g + seen, 0, (size_t)(t - seen) * sizeof(bf16));
    }
}

/* One head of `head` numbers turned by its position's angles; sin holds its first half negated. */
static inline void turn(const bf16 *restrict x, const bf16 *restrict cos, const bf16 *restrict sin, float sign, float scale,
                        bf16 *restrict out, size head) {
    size half = head / 2;
    for (size j = 0; j < half; j++) out[j] = narrow((wide(x[j]) * wide(cos[j]) + sign * wide(x[half + j]) * wide(sin[j])) * scale);
    for (size j = half; j < head; j++)
        out[j] = narrow((wide(x[j]) * wide(cos[j]) + sign * wide(x[j - half]) * wide(sin[j])) * scale);
}

/* Line i of out is line into[i] of x (m * n lines of `head` numbers), turned where it is one of the first n_turned of its n. */
static inline void spread_lines(const bf16 *x, const size *into, const bf16 *cos, const bf16 *sin, bf16 *out, size n_lines, size n,
                                size n_turned, size head) {
    for (size i = 0; i < n_lines; i++, out += head) {
        const bf16 *from = x + into[i] * head;
        uint32_t line = (uint32_t)into[i], token = line / (uint32_t)n;
        if (line - token * (uint32_t)n < (uint32_t)n_turned)
            turn(from, cos + token * head, sin + token * head, 1.0f, 1.0f, out, head);
        else
            memcpy(out, from, (size_t)head * sizeof(bf16));
    }
}

void spread_turned(const bf16 *x, const size *into, const bf16 *cos, const bf16 *sin, bf16 *out, size n_lines, size n, size n_turned,
                   size head) {
    if (head == USUAL)
        spread_lines(x, into, cos, sin, out, n_lines, n, n_turned, USUAL);
    else
        spread_lines(x, into, cos, sin, out, n_lines, n, n_turned, head);
}

/* The way back for gradients: head h of token i is line home[i * n + h], turned back and scaled where it had been turned. */
static inline void gather_lines(const bf16 *lines, const size *home, const bf16 *cos, const bf16 *sin, float scale, bf16 *out,
                                size out_stride, size m, size n, size n_turned, size head) {
    for (size i = 0; i < m; i++, home += n, cos += head, sin += head, out += out_stride)
        for (size h = 0; h < n; h++) {
            const bf16 *from = lines + home[h] * head;
            if (h < n_turned)
                turn(from, cos, sin, -1.0f, scale, out + h * head, head);
            else
                memcpy(out + h * head, from, (size_t)head * sizeof(bf16));
        }
}

void gather_turned(const bf16 *lines, const size *home, const bf16 *cos, const bf16 *sin, float scale, bf16 *out, size out_stride,
                   size m, size n, size n_turned, size head) {
    if (head == USUAL)
        gather_lines(lines, home, cos, sin, scale, out, out_stride, m, n, n_turned, USUAL);
    else
        gather_lines(lines, home, cos, sin, scale, out, out_stride, m, n, n_turned, head);
}

/* Head h of token i is line home[i * n + h]. */
void gather(const bf16 *lines, const size *home, bf16 *out, size out_stride, size m, size n, size head) {
    for (size i = 0; i < m; i++, home += n, out += out_stride)
        for (size h = 0; h < n; h++) memcpy(out + h * head, lines + home[h] * head, (size_t)head * sizeof(bf16));
}
