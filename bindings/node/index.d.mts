import * as steadfast from './index.js';

export * from './index.js';
export default steadfast;
